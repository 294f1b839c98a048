#include "systemd/unit_state.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <memory>

namespace etcd_snapshot {
namespace {

constexpr char kManager[] = "org.freedesktop.systemd1";
constexpr char kUnit[] = "org.freedesktop.systemd1.Unit";
constexpr char kTimer[] = "org.freedesktop.systemd1.Timer";
constexpr char kService[] = "org.freedesktop.systemd1.Service";
constexpr uint64_t kTimeoutUs = 5'000'000;

// Without a flush: nothing is left to send, and it waits for a bus that is not ready.
struct BusDeleter {
  void operator()(sd_bus* bus) const {
    sd_bus_close(bus);
    sd_bus_unref(bus);
  }
};
struct MessageDeleter {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
struct Free {
  void operator()(char* text) const { free(text); }
};
using Bus = std::unique_ptr<sd_bus, BusDeleter>;
using Message = std::unique_ptr<sd_bus_message, MessageDeleter>;

int64_t monotonic_us() {
  timespec time = {};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return int64_t{time.tv_sec} * 1'000'000 + time.tv_nsec / 1000;
}

// sd_bus_start() only begins to authenticate, and a call that comes too early waits for the end of
// that beside its own time: 25 to 90 seconds where the other side accepts and is silent, as a
// frozen systemd does (sd_bus_is_ready(3), sd-bus/bus-internal.h: BUS_AUTH_TIMEOUT).
bool wait_until_ready(sd_bus* bus, int64_t deadline_us) {
  for (;;) {
    const int ready = sd_bus_is_ready(bus);
    if (ready != 0) return ready > 0;
    const int64_t left_us = deadline_us - monotonic_us();
    if (left_us <= 0) return false;
    const int done = sd_bus_process(bus, nullptr);
    if (done < 0) return false;
    if (done > 0) continue;
    const int waited = sd_bus_wait(bus, static_cast<uint64_t>(left_us));
    if (waited < 0 && waited != -EINTR) return false;
  }
}

Bus open_bus() {
  if (sd_booted() <= 0) return nullptr;
  const int64_t deadline_us = monotonic_us() + int64_t{kTimeoutUs};
  sd_bus* opened = nullptr;
  if (geteuid() == 0 && sd_bus_new(&opened) >= 0) {
    Bus direct(opened);
    if (sd_bus_set_address(opened, "unix:path=/run/systemd/private") >= 0 &&
        sd_bus_start(opened) >= 0 && wait_until_ready(opened, deadline_us)) {
      return direct;
    }
  }
  if (sd_bus_open_system(&opened) < 0) return nullptr;
  Bus bus(opened);
  return wait_until_ready(opened, deadline_us) ? std::move(bus) : nullptr;
}

// Properties of one unit. After the first call without an answer no other is made.
class UnitReader {
 public:
  UnitReader(sd_bus* bus, const std::string& unit) : bus_(bus) {
    char* encoded = nullptr;
    if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &encoded) >= 0) {
      path_.reset(encoded);
    }
    answered_ = path_ != nullptr;
  }

  bool answered() const { return answered_; }

  std::string text(const char* interface, const char* property) {
    const char* value = "";
    const Message reply = get(interface, property, SD_BUS_TYPE_STRING, &value);
    return reply ? value : "";
  }
  bool flag(const char* interface, const char* property) {
    int value = 0;
    return get(interface, property, SD_BUS_TYPE_BOOLEAN, &value) && value != 0;
  }
  int number(const char* interface, const char* property) {
    int32_t value = 0;
    return get(interface, property, SD_BUS_TYPE_INT32, &value) ? value : 0;
  }
  // Microseconds; nullopt: not set, which systemd writes as 0 or as the largest number.
  std::optional<int64_t> time_us(const char* interface, const char* property) {
    uint64_t value = 0;
    if (!get(interface, property, SD_BUS_TYPE_UINT64, &value)) return std::nullopt;
    if (value == 0 || value > INT64_MAX) return std::nullopt;
    return static_cast<int64_t>(value);
  }
  std::optional<UnixSeconds> timestamp(const char* interface, const char* property) {
    const auto value = time_us(interface, property);
    if (!value) return std::nullopt;
    return std::chrono::floor<std::chrono::seconds>(
        std::chrono::sys_time<std::chrono::microseconds>(std::chrono::microseconds(*value)));
  }

 private:
  // `value` of a text lives as long as the reply.
  Message get(const char* interface, const char* property, char type, void* value) {
    if (!answered_) return nullptr;
    answered_ = false;
    sd_bus_message* made = nullptr;
    if (sd_bus_message_new_method_call(bus_, &made, kManager, path_.get(),
                                       "org.freedesktop.DBus.Properties", "Get") < 0) {
      return nullptr;
    }
    const Message request(made);
    if (sd_bus_message_append(request.get(), "ss", interface, property) < 0) return nullptr;
    sd_bus_message* answer = nullptr;
    if (sd_bus_call(bus_, request.get(), kTimeoutUs, nullptr, &answer) < 0) return nullptr;
    Message reply(answer);
    const char contents[] = {type, '\0'};
    if (sd_bus_message_enter_container(answer, SD_BUS_TYPE_VARIANT, contents) < 0 ||
        sd_bus_message_read_basic(answer, type, value) < 0) {
      return nullptr;
    }
    answered_ = true;
    return reply;
  }

  sd_bus* const bus_;
  std::unique_ptr<char, Free> path_;
  bool answered_ = false;
};

std::optional<UnixSeconds> next_elapse(UnitReader& timer) {
  if (const auto calendar = timer.timestamp(kTimer, "NextElapseUSecRealtime")) return calendar;
  // On the clock CLOCK_MONOTONIC, whatever clock the timer itself goes by.
  const auto monotonic = timer.time_us(kTimer, "NextElapseUSecMonotonic");
  timespec since_boot = {}, wall = {};
  if (!monotonic || clock_gettime(CLOCK_MONOTONIC, &since_boot) != 0 ||
      clock_gettime(CLOCK_REALTIME, &wall) != 0) {
    return std::nullopt;
  }
  const auto left = std::chrono::microseconds(*monotonic) -
                    std::chrono::seconds(since_boot.tv_sec) -
                    std::chrono::microseconds(since_boot.tv_nsec / 1000);
  return UnixSeconds(std::chrono::seconds(wall.tv_sec)) +
         std::chrono::round<std::chrono::seconds>(left +
                                                  std::chrono::microseconds(wall.tv_nsec / 1000));
}

}  // namespace

std::optional<ScheduleState> read_schedule(const std::string& name) {
  const Bus bus = open_bus();
  if (!bus) return std::nullopt;
  ScheduleState state;
  UnitReader timer(bus.get(), name + ".timer");
  state.timer.load_state = timer.text(kUnit, "LoadState");
  state.timer.active_state = timer.text(kUnit, "ActiveState");
  state.timer.sub_state = timer.text(kUnit, "SubState");
  state.timer.file_state = timer.text(kUnit, "UnitFileState");
  state.timer.needs_reload = timer.flag(kUnit, "NeedDaemonReload");
  state.timer.next = next_elapse(timer);
  if (!timer.answered()) return std::nullopt;
  UnitReader service(bus.get(), name + ".service");
  state.service.load_state = service.text(kUnit, "LoadState");
  state.service.active_state = service.text(kUnit, "ActiveState");
  state.service.status_text = service.text(kService, "StatusText");
  state.service.result = service.text(kService, "Result");
  state.service.exit_status = service.number(kService, "ExecMainStatus");
  state.service.started = service.timestamp(kService, "ExecMainStartTimestamp");
  state.service.finished = service.timestamp(kService, "ExecMainExitTimestamp");
  if (!service.answered()) return std::nullopt;
  return state;
}

}  // namespace etcd_snapshot

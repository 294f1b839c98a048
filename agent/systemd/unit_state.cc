#include "systemd/unit_state.h"

#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include <memory>

namespace etcd_snapshot {
namespace {

constexpr char kManager[] = "org.freedesktop.systemd1";

struct BusDeleter {
  void operator()(sd_bus* bus) const { sd_bus_flush_close_unref(bus); }
};
struct Free {
  void operator()(char* text) const { free(text); }
};

}  // namespace

std::optional<std::string> unit_active_state(const std::string& unit) {
  if (sd_booted() <= 0) return std::nullopt;
  sd_bus* opened = nullptr;
  if (sd_bus_open_system(&opened) < 0) return std::nullopt;
  const std::unique_ptr<sd_bus, BusDeleter> bus(opened);
  char* encoded = nullptr;
  if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &encoded) < 0) {
    return std::nullopt;
  }
  const std::unique_ptr<char, Free> path(encoded);
  char* answer = nullptr;
  if (sd_bus_get_property_string(bus.get(), kManager, path.get(), "org.freedesktop.systemd1.Unit",
                                 "ActiveState", nullptr, &answer) < 0) {
    return std::nullopt;
  }
  const std::unique_ptr<char, Free> state(answer);
  return std::string(state.get());
}

}  // namespace etcd_snapshot

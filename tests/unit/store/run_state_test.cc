#include "store/run_state.h"

#include "../fakes/faults.h"
#include "scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(RunState) {
  Scratch scratch;
  RunState read() {
    return read_run_state(scratch.path()).value();
  }
  void check_empty(const RunState& state, const char* what) {
    STRCMP_EQUAL_TEXT("", state.creation.c_str(), what);
    STRCMP_EQUAL_TEXT("", state.retention.c_str(), what);
    STRCMP_EQUAL_TEXT("", state.finished.c_str(), what);
    STRCMP_EQUAL_TEXT("", state.snapshot.c_str(), what);
    LONGS_EQUAL_TEXT(0, state.exit_code, what);
    LONGS_EQUAL_TEXT(0, state.prune_hold_until_s, what);
    CHECK_FALSE_TEXT(state.clock_offset_s.has_value(), what);
    CHECK_FALSE_TEXT(state.cluster.has_value(), what);
  }
};

TEST(RunState, ComesBackAsItWas) {
  RunState state;
  state.creation = "5m0s";
  state.retention = "24h0m0s";
  state.clock_offset_s = -1525455616;
  state.prune_hold_until_s = 90000;
  state.finished = "2018-05-04T18:40:16Z";
  state.exit_code = 69;
  state.snapshot = "a \"name\" with \n and ü";
  state.cluster = {"NOSPACE (member 7)", "no leader", true};
  CHECK_TRUE(write_run_state(scratch.path(), state).ok());
  const RunState back = read();
  CHECK_TRUE(back.cluster.has_value());
  STRCMP_EQUAL("NOSPACE (member 7)", back.cluster->alarms.c_str());
  STRCMP_EQUAL("no leader", back.cluster->reason.c_str());
  CHECK_TRUE(back.cluster->learner);
  STRCMP_EQUAL(state.creation.c_str(), back.creation.c_str());
  STRCMP_EQUAL(state.retention.c_str(), back.retention.c_str());
  CHECK_TRUE(state.clock_offset_s == back.clock_offset_s);
  LONGS_EQUAL(90000, back.prune_hold_until_s);
  STRCMP_EQUAL(state.finished.c_str(), back.finished.c_str());
  LONGS_EQUAL(69, back.exit_code);
  STRCMP_EQUAL(state.snapshot.c_str(), back.snapshot.c_str());
  LONGS_EQUAL(0644, scratch.mode("state.json"));
}

TEST(RunState, ReplacesTheOneBefore) {
  RunState state;
  state.clock_offset_s = 5;
  CHECK_TRUE(write_run_state(scratch.path(), state).ok());
  CHECK_TRUE(write_run_state(scratch.path(), RunState()).ok());
  check_empty(read(), "replaced");
}

TEST(RunState, IsEmptyWhereThereIsNone) {
  check_empty(read(), "no file");
  check_empty(read_run_state(scratch.path("missing")).value(), "no directory");
}

TEST(RunState, IsUnsetWhereNothingTellsOfTheClock) {
  for (const char* text :
       {"{}", "{\"creation\":5}", "{\"creation\":null,\"exit_code\":\"0\",\"snapshot\":[\"x\"]}"}) {
    scratch.write("state.json", text);
    check_empty(read(), text);
  }
}

// Garbage is not "no state": it may have held pruning.
TEST(RunState, IsAnErrorWhereItIsDamaged) {
  const std::string large(1 << 20, '['), deep(60000, '[');
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("5"),
        std::string("\xff\xfe"), std::string("{\"clock_offset_s\":null}"),
        std::string("{\"clock_offset_s\":\"1\"}"), std::string("{\"clock_offset_s\":1.5}"),
        std::string("{\"prune_hold_until_s\":1e9}"), std::string(4096, '\0'), large, deep}) {
    scratch.write("state.json", text);
    const auto state = read_run_state(scratch.path());
    CHECK_FALSE_TEXT(state.ok(), text.substr(0, 40).c_str());
    CHECK_TRUE(state.error().kind == ErrorKind::kStorage);
    CHECK_TRUE(holds(state.error().message, scratch.path("state.json")));
    CHECK_TRUE(holds(state.error().hint, "timedatectl"));
  }
}

// A file system that says EIO, ESTALE or ENFILE for a
// while says nothing of what it holds.
TEST(RunState, ThatCannotBeReadIsAnError) {
  CHECK_TRUE(write_run_state(scratch.path(), RunState()).ok());
  for (const char* call : {"open", "fstat", "read"}) {
    for (const int number : {EIO, ENFILE, EMFILE, ESTALE, ENOMEM, EACCES, EINTR}) {
      const Fault fault(call, number, "*/state.json");
      const auto state = read_run_state(scratch.path());
      CHECK_FALSE_TEXT(state.ok(), call);
      LONGS_EQUAL(number, state.error().code);
    }
    const Fault fault(call, EINTR, "*/state.json", "1");
    CHECK_TRUE_TEXT(read_run_state(scratch.path()).ok(), call);
    CHECK_TRUE(Fault::matched() > 1);
  }
}

TEST(RunState, ThatIsLostHoldsAsLongAsItCouldHave) {
  RunState state = lost_run_state(5000, 86400);
  CHECK_FALSE(state.clock_offset_s.has_value());
  LONGS_EQUAL(5000 + 86400, state.prune_hold_until_s);
  LONGS_EQUAL(0, note_clock(state, 1000000, 5000, 86400));
  LONGS_EQUAL(5000 + 86400, state.prune_hold_until_s);
}

TEST(RunState, ThatCannotBeWrittenIsAnError) {
  const auto written = write_run_state(scratch.path("missing"), RunState());
  CHECK_FALSE(written.ok());
  CHECK_TRUE(written.error().kind == ErrorKind::kStorage);
}

TEST(RunState, IsWrittenWhateverItsBytesAre) {
  RunState state;
  state.snapshot = "\xff\xfe";
  CHECK_TRUE(write_run_state(scratch.path(), state).ok());
  CHECK_FALSE(read().snapshot.empty());
}

TEST_GROUP(NoteClock) {
  RunState state;
  // The first run, an hour after boot.
  void setup() override {
    LONGS_EQUAL(0, note_clock(state, 1000000, 3600, 86400));
  }
};

TEST(NoteClock, OnlyNotesAtFirst) {
  CHECK_TRUE(state.clock_offset_s == 1000000 - 3600);
  LONGS_EQUAL(0, state.prune_hold_until_s);
}

TEST(NoteClock, SaysNothingWhileBothClocksGoTogether) {
  LONGS_EQUAL(0, note_clock(state, 1000000 + 500000, 3600 + 500000, 86400));
  LONGS_EQUAL(0, state.prune_hold_until_s);
}

TEST(NoteClock, ToleratesAnHour) {
  LONGS_EQUAL(0, note_clock(state, 1000000 + 60 + 3600, 3600 + 60, 86400));
  LONGS_EQUAL(0, state.prune_hold_until_s);
  // From there on, again.
  LONGS_EQUAL(0, note_clock(state, 1000000 + 120 + 7200, 3600 + 120, 86400));
  LONGS_EQUAL(3601, note_clock(state, 1000000 + 180 + 10801, 3600 + 180, 86400));
}

TEST(NoteClock, HoldsFromTheMomentOfTheJump) {
  LONGS_EQUAL(3601, note_clock(state, 1000000 + 60 + 3601, 3600 + 60, 7200));
  LONGS_EQUAL(3600 + 60 + 7200, state.prune_hold_until_s);
  // Found once; the hold stays.
  LONGS_EQUAL(0, note_clock(state, 1000000 + 120 + 3601, 3600 + 120, 7200));
  LONGS_EQUAL(3600 + 60 + 7200, state.prune_hold_until_s);
}

TEST(NoteClock, LetsAStepBackPassAndSeesTheWayForward) {
  LONGS_EQUAL(0, note_clock(state, 1000000 - 500000, 3600 + 60, 86400));
  LONGS_EQUAL(0, state.prune_hold_until_s);
  CHECK_TRUE(note_clock(state, 1000000 + 120, 3600 + 120, 86400) > 3600);
  LONGS_EQUAL(3600 + 120 + 86400, state.prune_hold_until_s);
}

// Nothing depends on the state being right.
TEST(NoteClock, TakesAnyOffsetThatADamagedStateHolds) {
  for (const int64_t offset : {INT64_MIN, INT64_MIN + 1, INT64_MAX}) {
    state.clock_offset_s = offset;
    note_clock(state, 1000000, 3600, 86400);
    CHECK_TRUE(state.clock_offset_s == 1000000 - 3600);
  }
}

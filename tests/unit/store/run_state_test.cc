#include "store/run_state.h"

#include "scratch.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(RunState) {
  Scratch scratch;
  RunState read() {
    return read_run_state(scratch.path());
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
  check_empty(read_run_state(scratch.path("missing")), "no directory");
}

TEST(RunState, IsEmptyWhereItIsDamaged) {
  for (const char* text :
       {"", "{", "[]", "null", "5", "\xff\xfe", "{}", "{\"creation\":5}",
        "{\"creation\":null,\"exit_code\":\"0\",\"snapshot\":[\"x\"]}", "{\"clock_offset_s\":null}",
        "{\"clock_offset_s\":\"1\"}", "{\"clock_offset_s\":1.5}", "{\"prune_hold_until_s\":1e9}"}) {
    scratch.write("state.json", text);
    check_empty(read(), text);
  }
  scratch.write("state.json", std::string(1 << 20, '['));
  check_empty(read(), "larger than any");
  scratch.write("state.json", std::string(60000, '['));
  check_empty(read(), "deep");
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

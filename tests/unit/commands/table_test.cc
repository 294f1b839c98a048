#include "commands/table.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(Table){};

TEST(Table, IsAsWideAsItsWidestCells) {
  STRCMP_EQUAL(
      "NAME    AGE  X\n"
      "a       1h   yes\n"
      "longer  12h  no\n",
      format_table({{"NAME", "AGE", "X"}, {"a", "1h", "yes"}, {"longer", "12h", "no"}}).c_str());
}

TEST(Table, EndsNoLineWithSpaces) {
  STRCMP_EQUAL("A  B\na\n\n", format_table({{"A", "B"}, {"a", ""}, {"", ""}}).c_str());
}

TEST(Table, CountsCharactersAndNotBytes) {
  STRCMP_EQUAL("µß   x\nabc  y\n", format_table({{"µß", "x"}, {"abc", "y"}}).c_str());
}

TEST(Table, TakesRowsOfDifferentLength) {
  STRCMP_EQUAL("A\nb  c  d\ne  f\n", format_table({{"A"}, {"b", "c", "d"}, {"e", "f"}}).c_str());
  STRCMP_EQUAL("", format_table({}).c_str());
  STRCMP_EQUAL("\n", format_table({{}}).c_str());
}

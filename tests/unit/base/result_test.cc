#include "base/result.h"

#include <string>

#include "base/shortage.h"

#include <CppUTest/TestHarness.h>

using namespace etcd_snapshot;

TEST_GROUP(SystemError){};

TEST(SystemError, SaysWhatToDoWhateverFailed) {
  for (int errnum = 1; errnum < 134; ++errnum) {
    const Error error = system_error(ErrorKind::kStorage, "cannot read", "x", errnum);
    CHECK_TEXT(!error.hint.empty(), error.message.c_str());
    LONGS_EQUAL(errnum, error.code);
  }
}

TEST(SystemError, NamesWhatThisMachineLacks) {
  const struct {
    int errnum;
    const char* named;
  } rows[] = {{EMFILE, "LimitNOFILE="},   {ENFILE, "fs.file-max"},   {ENOMEM, "out of memory"},
              {ENOBUFS, "out of memory"}, {ENOSPC, "df -h"},         {EDQUOT, "quota"},
              {EROFS, "read-only"},       {EACCES, "owner and mode"}};
  for (const auto& row : rows) {
    const Error error = system_error(ErrorKind::kConfig, "cannot open", "x", row.errnum);
    CHECK_TEXT(error.hint.find(row.named) != error.hint.npos, error.hint.c_str());
    const Error own = own_shortage(Error{error}, ErrorKind::kUnavailable);
    CHECK_TRUE((own.kind == ErrorKind::kUnavailable) == is_shortage(row.errnum));
  }
}

// Runs the unit tests of one module. Run from the top of the source tree: tests read tests/data.
#include <CppUTest/CommandLineTestRunner.h>
#include <CppUTest/TestRegistry.h>

#include <CppUTest/TestMemoryAllocator.h>

int main(int argc, char** argv) {
  // AddressSanitizer looks for leaks; CppUTest's own detector would take lazily made statics of
  // libraries (locales, OpenSSL) for leaks of the test that touched them first.
  MemoryLeakWarningPlugin::turnOffNewDeleteOverloads();
  return CommandLineTestRunner::RunAllTests(argc, argv);
}

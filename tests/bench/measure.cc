// measure RESULT-FILE COMMAND [ARGUMENT...]
// Runs a command and writes one line to RESULT-FILE: wall seconds, CPU seconds in user and in
// system mode, peak resident KiB and exit status, of the command and of all that it waited for
// (wait4(2)).
//
// A small program of its own, because Linux carries the peak of the process that forks over into
// the command: started from Python, no command would seem to need less memory than Python does.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace {

volatile sig_atomic_t child = 0;

extern "C" void pass_on(int signal_number) {
  if (child > 0) kill(child, signal_number);
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
}

double now_s() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fprintf(stderr, "usage: measure RESULT-FILE COMMAND [ARGUMENT...]\n");
    return 64;
  }
  struct sigaction action {};
  action.sa_handler = pass_on;
  for (int signal_number : {SIGTERM, SIGINT, SIGHUP}) sigaction(signal_number, &action, nullptr);
  const double start_s = now_s();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execvp(argv[2], argv + 2);
    fprintf(stderr, "measure: cannot run %s: %s\n", argv[2], strerror(errno));
    _exit(127);
  }
  if (pid < 0) {
    fprintf(stderr, "measure: fork: %s\n", strerror(errno));
    return 1;
  }
  child = pid;
  int status = 0;
  rusage usage{};
  while (wait4(pid, &status, 0, &usage) < 0) {
    if (errno != EINTR) {
      fprintf(stderr, "measure: wait4: %s\n", strerror(errno));
      return 1;
    }
  }
  const double wall_s = now_s() - start_s;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  FILE* result = fopen(argv[1], "w");
  if (result == nullptr ||
      fprintf(result, "%.4f %.4f %.4f %ld %d\n", wall_s, seconds(usage.ru_utime),
              seconds(usage.ru_stime), usage.ru_maxrss, code) < 0 ||
      fclose(result) != 0) {
    fprintf(stderr, "measure: cannot write %s: %s\n", argv[1], strerror(errno));
    return 1;
  }
  return code;
}

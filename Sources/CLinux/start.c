#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { descriptors_max = 8 };

int clinux_outlive_caller(void) { return prctl(PR_SET_PDEATHSIG, 0, 0, 0, 0); }

int clinux_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }

int clinux_memory_file(const char *name) { return memfd_create(name, MFD_CLOEXEC); }

// What programs that are started get back; guarded by being written before any is started.
static struct rlimit descriptor_limit;
static int descriptor_limit_raised;

int clinux_raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -1;
  descriptor_limit = limit;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) < 0) return -1;
  descriptor_limit_raised = 1;
  return 0;
}

static void close_from(int first) {
  if (syscall(SYS_close_range, first, ~0U, 0) == 0) return;
  // Linux before 5.9.
  long end = sysconf(_SC_OPEN_MAX);
  if (end < 0 || end > 1 << 20) end = 1 << 20;
  for (int fd = first; fd < end; fd++) close(fd);
}

// Runs in the child on the parent's memory while the parent waits: system calls only.
// Returns errno when something failed, and does not return otherwise.
static int become(const struct clinux_program *program, pid_t caller) {
  if (program->leads_session ? setsid() < 0 : setpgid(0, 0) < 0) return errno;
  if (program->dies_with_caller) {
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return errno;
    // The caller may have ended before the line above.
    if (getppid() != caller) return ECANCELED;
  }
  // Handlers do not survive execve, ignored signals would. The child has its own table.
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; number++) sigaction(number, &standard, NULL);

  int count = program->descriptor_count;
  int moved[descriptors_max];
  // Out of the way first: a source may sit where another descriptor has to go.
  for (int index = 0; index < count; index++) {
    moved[index] = fcntl(program->descriptors[index], F_DUPFD_CLOEXEC, count);
    if (moved[index] < 0) return errno;
  }
  for (int index = 0; index < count; index++)
    if (dup2(moved[index], index) < 0) return errno;
  close_from(count);

  if (descriptor_limit_raised) setrlimit(RLIMIT_NOFILE, &descriptor_limit);
  if (program->folder && chdir(program->folder) < 0) return errno;
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  execve(program->path, program->arguments, program->environment);
  return errno;
}

pid_t clinux_start(const struct clinux_program *program) {
  if (program->descriptor_count > descriptors_max) {
    errno = EINVAL;
    return -1;
  }
  // A handler of the caller must not run in the child, where it would change shared memory.
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, &before);
  volatile int failure = 0;
  pid_t caller = getpid();
  pid_t child = vfork();
  if (child == 0) {
    failure = become(program, caller);
    _exit(127);
  }
  if (child < 0) failure = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failure == 0) return child;
  while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  errno = failure;
  return -1;
}

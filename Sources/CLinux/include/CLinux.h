#pragma once

// What Swift cannot reach on its own: headers its Glibc module leaves out, variadic system
// calls, and one checksum that wants a CPU instruction.

#include <stddef.h>
#include <stdint.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>

/// pidfd_open(2): a descriptor that becomes readable when the process ends, or -1 with errno.
int clinux_pidfd_open(pid_t pid);

/// Starts a program, as vfork(2) and execve(2) do it, without copying the caller's memory.
/// The program gets default signal handling with nothing blocked, and no descriptors but
/// `descriptors`, which become 0, 1, 2 ... in their order.
struct clinux_program {
  const char *path;
  char *const *arguments;
  char *const *environment;
  /// The working directory; NULL for the caller's. A relative `path` starts from it.
  const char *folder;
  const int *descriptors;
  int descriptor_count;
  /// A session of its own; otherwise a process group of its own.
  int leads_session;
  /// It is killed when the calling thread ends, however that ends.
  int dies_with_caller;
};

/// Lets this process have as many descriptors as its hard limit says (getrlimit(2)); programs that
/// it starts get the limit it had. Call it before any is started. 0, or -1 with errno.
int clinux_raise_descriptor_limit(void);

/// Answers the process id; -1 with errno when the program could not be started.
pid_t clinux_start(const struct clinux_program *program);

/// The calling process is no longer killed when the thread that started it ends.
int clinux_outlive_caller(void);

/// pipe2(2) with O_CLOEXEC.
int clinux_pipe(int ends[2]);

/// memfd_create(2) with MFD_CLOEXEC: an empty file that exists only in memory.
int clinux_memory_file(const char *name);

/// epoll_ctl(2) and epoll_wait(2) with a plain token in place of the union. The wait fills at
/// most `capacity` (256 at the most) entries of `ready`.
struct clinux_ready {
  uint64_t token;
  uint32_t events;
};
int clinux_epoll_control(int epoll, int operation, int fd, uint32_t events, uint64_t token);
int clinux_epoll_wait(int epoll, struct clinux_ready *ready, int capacity, int milliseconds);

/// accept4(2): the next connection, non-blocking and closed on exec.
int clinux_accept(int listener);

/// sendmsg(2) with copies of `count` descriptors (253 at the most) beside the first of the bytes.
ssize_t clinux_send_descriptors(int socket, const void *bytes, size_t length, const int *fds,
                                int count);

/// recvmsg(2): bytes, and up to 253 descriptors that came beside them, closed on exec; `fds` has
/// room for so many.
ssize_t clinux_receive_descriptors(int socket, void *bytes, size_t length, int *fds, int *count);

/// Handles `signal` by adding one to the eventfd `fd`; one descriptor for the whole process.
/// 0, or -1 with errno. (Blocking and signalfd do not do: the main thread of a Swift program waits
/// in sigsuspend with nothing blocked.)
int clinux_forward_signal(int signal, int fd);

/// Names the calling thread (the first 15 bytes of `name`), as `ps -L` and debuggers show it.
void clinux_set_thread_name(const char *name);

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `length` bytes, continuing from `crc`
/// (0 to start). Uses SSE4.2 or the ARMv8 CRC extension where the processor has it.
uint32_t clinux_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same by table only; tests compare both.
uint32_t clinux_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

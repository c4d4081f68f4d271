#pragma once
#include <stddef.h>
#include <sys/resource.h>

// libjq behind four functions. It cannot be bounded in the process that uses it (it ends that
// process on memory, overflows the stack, loops without a hook), so only a worker links this in
// earnest.

#if __has_feature(nullability)
#pragma clang assume_nonnull begin
#endif

typedef struct cjq_program cjq_program;

typedef enum { cjq_value, cjq_nothing, cjq_error, cjq_bad_input } cjq_status;

typedef struct {
  cjq_status status;
  /// The first output as JSON with sorted keys, or the words of an error; freed with
  /// `cjq_release`.
  char *_Nullable bytes;
  size_t count;
} cjq_result;

/// Answers what a program asks of the process it runs in: JSON in, JSON out, a list with one value
/// or a text that says what is wrong. What it gives is freed with `free`; NULL is an error.
typedef char *_Nullable (*cjq_host)(const char *question, size_t count, size_t *answer_count);

/// NULL with words, freed by `free`, for a text that is no program.
cjq_program *_Nullable cjq_compile(const char *text, cjq_host host,
                                   char *_Nullable *_Nonnull words);

/// The first output. The program is run to its end; it should have only one.
cjq_result cjq_run(cjq_program *program, const char *data, size_t count);

void cjq_release(cjq_result result);

void cjq_free(cjq_program *program);

/// setrlimit(2), whose first parameter has a type of its own in C: 0, or -1 with errno.
int cjq_limit_space(rlim_t bytes);
int cjq_limit_files(rlim_t count);
int cjq_limit_core(void);
/// The soft limit alone, so that it can be moved on for the next call.
int cjq_limit_time(rlim_t seconds);

#if __has_feature(nullability)
#pragma clang assume_nonnull end
#endif

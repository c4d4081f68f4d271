#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* C names for RE2 (re2/re2.h), whose own interface is C++. */

typedef struct cre2_regex cre2_regex;

/* Compiles a pattern; never NULL. Ask cre2_error before anything else. `memory` bounds the
   program and its matching state, in bytes. */
cre2_regex *cre2_compile(const char *pattern, size_t length, int64_t memory);
void cre2_free(cre2_regex *regex);

/* NULL for a usable pattern, else the reason; it lives as long as the regex. */
const char *cre2_error(const cre2_regex *regex);

int cre2_group_count(const cre2_regex *regex);

/* The name of a group, NULL for one without a name; it lives as long as the regex. */
const char *cre2_group_name(const cre2_regex *regex, int group);

/* Searches text[start..<length] with everything before `start` as context. `offsets` takes two
   entries per group asked for, group 0 being the whole match; -1 twice for a group that took no
   part. Safe to call from many threads at once. */
bool cre2_match(
    const cre2_regex *regex, const char *text, size_t length, size_t start, int64_t *offsets,
    int groups);

#ifdef __cplusplus
}
#endif

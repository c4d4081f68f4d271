#include "CRE2.h"

#include <map>
#include <string>
#include <vector>

#include <re2/re2.h>

struct cre2_regex {
  re2::RE2 expression;

  cre2_regex(const re2::StringPiece &pattern, const re2::RE2::Options &options)
      : expression(pattern, options) {}
};

cre2_regex *cre2_compile(const char *pattern, size_t length, int64_t memory) {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(memory);
  return new cre2_regex(re2::StringPiece(pattern, length), options);
}

void cre2_free(cre2_regex *regex) { delete regex; }

const char *cre2_error(const cre2_regex *regex) {
  return regex->expression.ok() ? nullptr : regex->expression.error().c_str();
}

int cre2_group_count(const cre2_regex *regex) {
  return regex->expression.NumberOfCapturingGroups();
}

const char *cre2_group_name(const cre2_regex *regex, int group) {
  const auto &names = regex->expression.CapturingGroupNames();
  auto found = names.find(group);
  return found == names.end() ? nullptr : found->second.c_str();
}

bool cre2_match(
    const cre2_regex *regex, const char *text, size_t length, size_t start, int64_t *offsets,
    int groups) {
  re2::StringPiece whole(text, length);
  // Most questions are for a yes or a no, or for a few groups.
  re2::StringPiece few[8];
  std::vector<re2::StringPiece> many;
  re2::StringPiece *pieces = few;
  if (groups > 8) {
    many.resize(groups);
    pieces = many.data();
  }
  if (!regex->expression.Match(
          whole, start, length, re2::RE2::UNANCHORED, groups > 0 ? pieces : nullptr, groups))
    return false;
  for (int group = 0; group < groups; group++) {
    bool took = pieces[group].data() != nullptr;
    offsets[2 * group] = took ? pieces[group].data() - text : -1;
    offsets[2 * group + 1] = took ? offsets[2 * group] + (int64_t)pieces[group].size() : -1;
  }
  return true;
}

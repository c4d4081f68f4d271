// The functions of the string library that search (Lua 5.1 reference manual, section 5.4.1),
// with every step counted: a pattern of several repetitions takes a power of the text's length,
// and the library's own functions cannot be stopped.
#include "clua_internal.h"
#include <ctype.h>
#include <string.h>

enum { group_max = LUA_MAXCAPTURES, depth_max = 200 };

/// Lengths of groups that have no text yet.
enum { group_open = -1, group_position = -2 };

typedef struct {
  lua_State *L;
  const char *start;
  const char *end;
  const char *pattern_end;
  int64_t steps;
  int depth;
  int count;
  struct {
    const char *at;
    ptrdiff_t length;
  } groups[group_max];
} search;

static void step(search *s) {
  if (++s->steps >= 1024) {
    clua_steps(s->L, s->steps);
    s->steps = 0;
  }
}

static const char *item_end(search *s, const char *p);

/// The original reads all of a pattern before it looks for it.
static void check(search *s, const char *p) {
  int open = 0;
  while (p < s->pattern_end) {
    if (*p == '%' && p + 1 < s->pattern_end) {
      if (p[1] == '0') luaL_error(s->L, "invalid capture index");
      p += p[1] == 'b' && p + 3 < s->pattern_end ? 4 : 2;
      continue;
    }
    if (*p == '(' && ++open > group_max) luaL_error(s->L, "too many captures");
    if (*p == ')' && --open < 0) luaL_error(s->L, "invalid ')'");
    p = item_end(s, p);
  }
  if (open > 0) luaL_error(s->L, "unfinished capture");
}

static void begin(search *s, lua_State *L, const char *text, size_t count, const char *pattern,
                  size_t pattern_count) {
  s->L = L;
  s->start = text;
  s->end = text + count;
  s->pattern_end = pattern + pattern_count;
  s->steps = 0;
  s->depth = 0;
  s->count = 0;
  check(s, pattern);
}

/// Where the item that begins at `p` ends, without its repetition.
static const char *item_end(search *s, const char *p) {
  char first = *p++;
  // One at the end of the pattern fits nothing.
  if (first == '%') return p < s->pattern_end ? p + 1 : p;
  if (first != '[') return p;
  if (p < s->pattern_end && *p == '^') p++;
  // The first character is a member even if it is the closing bracket.
  do {
    if (p >= s->pattern_end) luaL_error(s->L, "malformed pattern (missing ']')");
    char member = *p++;
    if (member == '%' && p < s->pattern_end) p++;
  } while (p >= s->pattern_end || *p != ']');
  return p + 1;
}

static int in_class(int character, int class) {
  int found;
  switch (tolower(class)) {
  case 'a': found = isalpha(character); break;
  case 'c': found = iscntrl(character); break;
  case 'd': found = isdigit(character); break;
  case 'l': found = islower(character); break;
  case 'p': found = ispunct(character); break;
  case 's': found = isspace(character); break;
  case 'u': found = isupper(character); break;
  case 'w': found = isalnum(character); break;
  case 'x': found = isxdigit(character); break;
  case 'z': found = character == 0; break;
  default: return class == character;
  }
  return isupper(class) ? !found : found != 0;
}

/// Whether a set, from its `[` to behind its `]`, has a character.
static int in_set(int character, const char *p, const char *end) {
  const char *last = end - 1;
  int wanted = 1;
  p++;
  if (*p == '^') {
    wanted = 0;
    p++;
  }
  for (; p < last; p++) {
    if (*p == '%' && p + 1 < last) {
      p++;
      if (in_class(character, (unsigned char)*p)) return wanted;
    } else if (p + 2 < last && p[1] == '-') {
      if ((unsigned char)*p <= character && character <= (unsigned char)p[2]) return wanted;
      p += 2;
    } else if ((unsigned char)*p == character) {
      return wanted;
    }
  }
  return !wanted;
}

static int fits(search *s, const char *at, const char *item, const char *item_stop) {
  if (at >= s->end) return 0;
  step(s);
  int character = (unsigned char)*at;
  switch (*item) {
  case '.': return 1;
  case '%': return item + 1 < item_stop && in_class(character, (unsigned char)item[1]);
  case '[': return in_set(character, item, item_stop);
  default: return (unsigned char)*item == character;
  }
}

static const char *match(search *s, const char *at, const char *p);

static const char *match_most(search *s, const char *at, const char *item, const char *stop) {
  ptrdiff_t count = 0;
  while (fits(s, at + count, item, stop)) count++;
  for (; count >= 0; count--) {
    const char *end = match(s, at + count, stop + 1);
    if (end != NULL) return end;
  }
  return NULL;
}

static const char *match_least(search *s, const char *at, const char *item, const char *stop) {
  for (;;) {
    const char *end = match(s, at, stop + 1);
    if (end != NULL) return end;
    if (!fits(s, at, item, stop)) return NULL;
    at++;
  }
}

/// `%bxy`: from an x to the y that balances it.
static const char *match_balance(search *s, const char *at, const char *p) {
  if (p + 1 >= s->pattern_end) return NULL;
  if (at >= s->end || *at != p[0]) return NULL;
  int64_t open = 1;
  for (at++; at < s->end; at++) {
    step(s);
    if (*at == p[1]) {
      if (--open == 0) return at + 1;
    } else if (*at == p[0]) {
      open++;
    }
  }
  return NULL;
}

static const char *match_group(search *s, const char *at, const char *p) {
  if (s->count >= group_max) luaL_error(s->L, "too many captures");
  int is_position = p + 1 < s->pattern_end && p[1] == ')';
  s->groups[s->count].at = at;
  s->groups[s->count].length = is_position ? group_position : group_open;
  s->count++;
  const char *end = match(s, at, p + (is_position ? 2 : 1));
  if (end == NULL) s->count--;
  return end;
}

static const char *match_group_end(search *s, const char *at, const char *p) {
  int group = s->count - 1;
  while (group >= 0 && s->groups[group].length != group_open) group--;
  if (group < 0) luaL_error(s->L, "invalid pattern capture");
  s->groups[group].length = at - s->groups[group].at;
  const char *end = match(s, at, p + 1);
  if (end == NULL) s->groups[group].length = group_open;
  return end;
}

static const char *match_again(search *s, const char *at, int digit) {
  int group = digit - '1';
  if (group < 0 || group >= s->count || s->groups[group].length < 0) {
    luaL_error(s->L, "invalid capture index");
  }
  size_t length = (size_t)s->groups[group].length;
  clua_steps(s->L, (int64_t)length / 16);
  if ((size_t)(s->end - at) < length || memcmp(at, s->groups[group].at, length) != 0) return NULL;
  return at + length;
}

/// The end of the match of the pattern from `p` on at `at`; NULL for none.
static const char *match_here(search *s, const char *at, const char *p) {
  while (p < s->pattern_end) {
    step(s);
    if (*p == '(') return match_group(s, at, p);
    if (*p == ')') return match_group_end(s, at, p);
    if (*p == '$' && p + 1 == s->pattern_end) return at == s->end ? at : NULL;
    if (*p == '%' && p + 1 < s->pattern_end) {
      if (p[1] == 'b') {
        at = match_balance(s, at, p + 2);
        if (at == NULL) return NULL;
        p += 4;
        continue;
      }
      if (isdigit((unsigned char)p[1])) {
        at = match_again(s, at, p[1]);
        if (at == NULL) return NULL;
        p += 2;
        continue;
      }
    }
    const char *stop = item_end(s, p);
    char repetition = stop < s->pattern_end ? *stop : 0;
    if (repetition == '?') {
      if (fits(s, at, p, stop)) {
        const char *end = match(s, at + 1, stop + 1);
        if (end != NULL) return end;
      }
      p = stop + 1;
      continue;
    }
    if (repetition == '*') return match_most(s, at, p, stop);
    if (repetition == '-') return match_least(s, at, p, stop);
    if (!fits(s, at, p, stop)) return NULL;
    if (repetition == '+') return match_most(s, at + 1, p, stop);
    at++;
    p = stop;
  }
  return at;
}

static const char *match(search *s, const char *at, const char *p) {
  if (++s->depth > depth_max) luaL_error(s->L, "pattern too complex");
  const char *end = match_here(s, at, p);
  s->depth--;
  return end;
}

static void push_group(search *s, int group, const char *at, const char *end) {
  if (group >= s->count) {
    if (group != 0) luaL_error(s->L, "invalid capture index");
    lua_pushlstring(s->L, at, (size_t)(end - at));
  } else if (s->groups[group].length == group_position) {
    lua_pushinteger(s->L, s->groups[group].at - s->start + 1);
  } else {
    if (s->groups[group].length == group_open) luaL_error(s->L, "unfinished capture");
    lua_pushlstring(s->L, s->groups[group].at, (size_t)s->groups[group].length);
  }
}

/// All groups; the whole match where there is none and `at` is given.
static int push_groups(search *s, const char *at, const char *end) {
  int count = s->count == 0 && at != NULL ? 1 : s->count;
  luaL_checkstack(s->L, count, "too many captures");
  for (int group = 0; group < count; group++) push_group(s, group, at, end);
  return count;
}

static const char *first_match(search *s, const char **at, const char *pattern, int is_anchored) {
  do {
    s->count = 0;
    s->depth = 0;
    const char *end = match(s, *at, pattern);
    if (end != NULL) return end;
  } while (!is_anchored && (*at)++ < s->end);
  return NULL;
}

static const char *find_plain(search *s, const char *at, const char *text, size_t count) {
  clua_steps(s->L, (s->end - at) / 16);
  if (count == 0) return at;
  for (; (size_t)(s->end - at) >= count; at++) {
    at = memchr(at, text[0], (size_t)(s->end - at) - count + 1);
    if (at == NULL) return NULL;
    step(s);
    if (memcmp(at, text, count) == 0) return at;
  }
  return NULL;
}

static int find_or_match(lua_State *L, int finds) {
  size_t count, pattern_count;
  const char *text = luaL_checklstring(L, 1, &count);
  const char *pattern = luaL_checklstring(L, 2, &pattern_count);
  ptrdiff_t start = luaL_optinteger(L, 3, 1);
  if (start < 0) start += (ptrdiff_t)count + 1;
  start = start < 1 ? 0 : start - 1;
  if (finds && pattern_count == 0) {
    // Wherever the search begins.
    lua_pushinteger(L, 1);
    lua_pushinteger(L, 0);
    return 2;
  }
  int is_plain = finds && lua_gettop(L) == 4 && lua_toboolean(L, 4);
  search s;
  begin(&s, L, text, count, is_plain ? "" : pattern, is_plain ? 0 : pattern_count);
  if (start > (ptrdiff_t)count) {
    if (is_plain) luaL_error(L, "the search begins behind the text");
    lua_pushnil(L);
    return finds ? 1 : 0;
  }
  const char *at = text + start;
  if (is_plain) {
    at = find_plain(&s, at, pattern, pattern_count);
    if (at != NULL) {
      lua_pushinteger(L, at - text + 1);
      lua_pushinteger(L, at - text + (ptrdiff_t)pattern_count);
      return 2;
    }
  } else {
    int is_anchored = pattern_count > 0 && *pattern == '^';
    const char *end = first_match(&s, &at, pattern + is_anchored, is_anchored);
    clua_steps(L, s.steps);
    if (end != NULL) {
      if (!finds) return push_groups(&s, at, end);
      lua_pushinteger(L, at - text + 1);
      lua_pushinteger(L, end - text);
      return push_groups(&s, NULL, NULL) + 2;
    }
  }
  lua_pushnil(L);
  return finds ? 1 : 0;
}

static int find(lua_State *L) { return find_or_match(L, 1); }

static int match_text(lua_State *L) { return find_or_match(L, 0); }

static int next_match(lua_State *L) {
  size_t count, pattern_count;
  const char *text = lua_tolstring(L, lua_upvalueindex(1), &count);
  const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &pattern_count);
  const char *at = text + lua_tointeger(L, lua_upvalueindex(3));
  if (at > text + count) return 0;
  search s;
  begin(&s, L, text, count, pattern, pattern_count);
  int is_anchored = pattern_count > 0 && *pattern == '^';
  const char *end = first_match(&s, &at, pattern + is_anchored, is_anchored);
  clua_steps(L, s.steps);
  if (end == NULL) return 0;
  // Behind an empty match the search goes on one character later, and at the start only once.
  lua_pushinteger(L, is_anchored ? (lua_Integer)count + 1 : end - text + (end == at));
  lua_replace(L, lua_upvalueindex(3));
  return push_groups(&s, at, end);
}

static int each_match(lua_State *L) {
  size_t count, pattern_count;
  const char *text = luaL_checklstring(L, 1, &count);
  const char *pattern = luaL_checklstring(L, 2, &pattern_count);
  search s;
  begin(&s, L, text, count, pattern, pattern_count);
  lua_settop(L, 2);
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, next_match, 3);
  return 1;
}

/// Adds what takes the place of a match.
static void add_replacement(search *s, luaL_Buffer *out, const char *at, const char *end) {
  lua_State *L = s->L;
  switch (lua_type(L, 3)) {
  case LUA_TFUNCTION:
    lua_pushvalue(L, 3);
    lua_call(L, push_groups(s, at, end), 1);
    break;
  case LUA_TTABLE:
    push_group(s, 0, at, end);
    lua_gettable(L, 3);
    break;
  default: {
    size_t count;
    const char *text = lua_tolstring(L, 3, &count);
    for (size_t place = 0; place < count; place++) {
      if (text[place] != '%' || place + 1 == count) {
        luaL_addchar(out, text[place]);
      } else if (!isdigit((unsigned char)text[++place])) {
        luaL_addchar(out, '%');
        if (text[place] != '%') luaL_addchar(out, text[place]);
      } else if (text[place] == '0') {
        luaL_addlstring(out, at, (size_t)(end - at));
      } else {
        push_group(s, text[place] - '1', at, end);
        luaL_addvalue(out);
      }
    }
    return;
  }
  }
  if (!lua_toboolean(L, -1)) {
    lua_pop(L, 1);
    lua_pushlstring(L, at, (size_t)(end - at));
  } else if (lua_type(L, -1) == LUA_TNUMBER) {
    clua_push_number_text(L, lua_tonumber(L, -1));
    lua_remove(L, -2);
  } else if (lua_type(L, -1) != LUA_TSTRING) {
    // What is no text counts as an empty one.
    lua_pop(L, 1);
    return;
  }
  luaL_addvalue(out);
}

static int replace(lua_State *L) {
  size_t count, pattern_count;
  const char *text = luaL_checklstring(L, 1, &count);
  const char *pattern = luaL_checklstring(L, 2, &pattern_count);
  int type = lua_type(L, 3);
  luaL_argcheck(L,
                type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE,
                3, "string/function/table expected");
  lua_Integer most = luaL_optinteger(L, 4, -1);
  lua_settop(L, 3);
  int is_anchored = pattern_count > 0 && *pattern == '^';
  int64_t made = 0;
  const char *at = text;
  search s;
  begin(&s, L, text, count, pattern, pattern_count);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  // Less than one is no bound.
  while (most < 1 || made < most) {
    s.count = 0;
    s.depth = 0;
    const char *end = match(&s, at, pattern + is_anchored);
    if (end != NULL) {
      made++;
      add_replacement(&s, &out, at, end);
    } else if (most == 0 && made == 0) {
      // None are made before none was found, which is as many as wanted.
      break;
    }
    if (end != NULL && end > at) {
      at = end;
    } else if (at < s.end) {
      luaL_addchar(&out, *at);
      at++;
    } else {
      break;
    }
    if (is_anchored) break;
  }
  clua_steps(L, s.steps);
  luaL_addlstring(&out, at, (size_t)(s.end - at));
  luaL_pushresult(&out);
  lua_pushinteger(L, (lua_Integer)made);
  return 2;
}

void clua_open_patterns(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"find", find}, {"match", match_text}, {"gmatch", each_match}, {"gsub", replace}};
  for (size_t place = 0; place < sizeof functions / sizeof functions[0]; place++) {
    lua_pushcfunction(L, functions[place].func);
    lua_setfield(L, -2, functions[place].name);
  }
  lua_pushnil(L);
  lua_setfield(L, -2, "gfind");
}

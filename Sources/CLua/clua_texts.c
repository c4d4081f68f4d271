// Functions that make texts of values and values of texts, as the original has them.
#include "clua_internal.h"
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int bytes_of(lua_State *L) {
  size_t size;
  const char *text = luaL_checklstring(L, 1, &size);
  ptrdiff_t count = (ptrdiff_t)size;
  ptrdiff_t start = luaL_optinteger(L, 2, 1) - 1;
  ptrdiff_t end = luaL_optinteger(L, 3, -1);
  if (start < 0) start += count + 1;
  if (end < 0) end += count + 1;
  if (lua_gettop(L) == 2) end = start + 1;
  if (lua_gettop(L) == 2 && start < 0) return 0;
  if (start < 0) start = 0;
  if (end > count) end = count;
  if (start >= count || end <= start) return 0;
  if (end - start > LUAI_MAXCSTACK / 2) return luaL_error(L, "string slice too long");
  luaL_checkstack(L, (int)(end - start), "string slice too long");
  for (ptrdiff_t at = start; at < end; at++) lua_pushinteger(L, (unsigned char)text[at]);
  return (int)(end - start);
}

static int text_of_bytes(lua_State *L) {
  int count = lua_gettop(L);
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (int place = 1; place <= count; place++) {
    luaL_addchar(&out, (char)(unsigned char)(int64_t)luaL_checknumber(L, place));
  }
  luaL_pushresult(&out);
  return 1;
}

/// Whether a text without space around it is a number with a point as the original reads it.
static int is_decimal(const char *text) {
  if (*text == '+' || *text == '-') text++;
  size_t whole = strspn(text, "0123456789");
  text += whole;
  if (*text != '.') return 0;
  size_t fraction = strspn(++text, "0123456789");
  text += fraction;
  if (whole + fraction == 0) return 0;
  if (*text == 'e' || *text == 'E') {
    text++;
    if (*text == '+' || *text == '-') text++;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0) return 0;
    text += digits;
  }
  return *text == 0;
}

/// - Returns: 0 where the text is no number.
static int number_of(const char *text, int base, double *out) {
  if (strchr(text, '.') != NULL) {
    if (!is_decimal(text)) return 0;
    *out = strtod(text, NULL);
    return *out <= 1.7976931348623157e308 && *out >= -1.7976931348623157e308;
  }
  const char *digits = text + (*text == '+' || *text == '-');
  // Before its digits `strtoll` would take spaces and `0x`.
  if (base < 2 || base > 36 || !isalnum((unsigned char)*digits)) return 0;
  if (base == 16 && digits[0] == '0' && tolower((unsigned char)digits[1]) == 'x') return 0;
  char *end;
  errno = 0;
  long long value = strtoll(text, &end, base);
  *out = (double)value;
  return end != text && *end == 0 && errno == 0;
}

static int to_number(lua_State *L) {
  luaL_checkany(L, 1);
  int has_base = !lua_isnoneornil(L, 2);
  int base = (int)luaL_optinteger(L, 2, 10);
  if (lua_type(L, 1) == LUA_TNUMBER) {
    lua_settop(L, 1);
    return 1;
  }
  size_t count = 0;
  const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &count) : NULL;
  char digits[512];
  while (count > 0 && strchr(" \n\t", *text) != NULL) text++, count--;
  while (count > 0 && strchr(" \n\t", text[count - 1]) != NULL) count--;
  double number;
  if (count > 0 && count < sizeof digits && memchr(text, 0, count) == NULL) {
    memcpy(digits, text, count);
    digits[count] = 0;
    int is_hex = !has_base && digits[0] == '0' && tolower((unsigned char)digits[1]) == 'x';
    if (number_of(is_hex ? digits + 2 : digits, is_hex ? 16 : base, &number)) {
      lua_pushnumber(L, number);
      return 1;
    }
  }
  lua_pushnil(L);
  return 1;
}

/// Adds an argument of `string.format` to the tape: numbers and texts as they are, of anything
/// else what `tostring` makes of it.
static void add_argument(lua_State *L, luaL_Buffer *tape, int place) {
  if (lua_type(L, place) == LUA_TNUMBER) {
    double number = lua_tonumber(L, place);
    luaL_addchar(tape, 'd');
    luaL_addlstring(tape, (const char *)&number, sizeof number);
    return;
  }
  size_t count;
  const char *text = lua_tolstring(L, place, &count);
  uint64_t word = count;
  luaL_addchar(tape, 's');
  luaL_addlstring(tape, (const char *)&word, sizeof word);
  luaL_addlstring(tape, text, count);
}

/// The original formats with the verbs of its host language, which are told in the other one.
static int format(lua_State *L) {
  luaL_checkstring(L, 1);
  int top = lua_gettop(L);
  clua_job *job = clua_job_of(L);
  for (int place = 2; place <= top; place++) {
    if (lua_type(L, place) == LUA_TNUMBER || lua_type(L, place) == LUA_TSTRING) continue;
    lua_getglobal(L, "tostring");
    lua_pushvalue(L, place);
    lua_call(L, 1, 1);
    luaL_checkstring(L, -1);
    lua_replace(L, place);
  }
  luaL_Buffer tape;
  luaL_buffinit(L, &tape);
  for (int place = 1; place <= top; place++) add_argument(L, &tape, place);
  luaL_pushresult(&tape);
  size_t count, out_count = 0;
  const char *bytes = lua_tolstring(L, -1, &count);
  clua_steps(L, (int64_t)count);
  free(job->scratch);
  job->scratch = job->limits.format((const unsigned char *)bytes, count, job->limits.memory_max,
                                    &out_count);
  if (job->scratch == NULL) clua_spend(L, "too much memory");
  clua_steps(L, (int64_t)out_count);
  lua_pushlstring(L, (const char *)job->scratch, out_count);
  return 1;
}

/// Like that of the library, but where a function that is not in Lua called it, the place is that
/// of the nearest caller that is.
static int raise(lua_State *L) {
  int level = (int)luaL_optinteger(L, 2, 1);
  lua_settop(L, 1);
  if (lua_type(L, 1) == LUA_TSTRING && level > 0) {
    lua_Debug record;
    while (lua_getstack(L, level, &record)) {
      lua_getinfo(L, "Sl", &record);
      if (record.currentline > 0) break;
      level++;
    }
    luaL_where(L, level);
    lua_pushvalue(L, 1);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

/// An exponent beyond all bounds takes the number to nothing.
static int scale(lua_State *L) {
  double number = luaL_checknumber(L, 1);
  double exponent = luaL_checknumber(L, 2);
  int is_whole = exponent > -9.2e18 && exponent < 9.2e18;
  int bounded = exponent > 5000 ? 5000 : exponent < -5000 ? -5000 : (int)exponent;
  lua_pushnumber(L, ldexp(number, is_whole ? bounded : -5000));
  return 1;
}

static void put_all(lua_State *L, const luaL_Reg *functions, size_t count) {
  for (size_t place = 0; place < count; place++) {
    lua_pushcfunction(L, functions[place].func);
    lua_setfield(L, -2, functions[place].name);
  }
}

void clua_open_texts(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"byte", bytes_of}, {"char", text_of_bytes}, {"format", format}};
  put_all(L, functions, sizeof functions / sizeof functions[0]);
}

void clua_open_conversions(lua_State *L) {
  static const luaL_Reg functions[] = {{"tonumber", to_number}, {"error", raise}};
  put_all(L, functions, sizeof functions / sizeof functions[0]);
}

void clua_open_numbers(lua_State *L) {
  static const luaL_Reg functions[] = {{"ldexp", scale}};
  put_all(L, functions, sizeof functions / sizeof functions[0]);
}

#define _GNU_SOURCE
#include "clua_internal.h"
#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

static int unavailable(lua_State *L) {
  return luaL_error(L, "'%s' is not available", lua_tostring(L, lua_upvalueindex(1)));
}

static int silent(lua_State *L) {
  (void)L;
  return 0;
}

static int collect(lua_State *L) {
  lua_pushinteger(L, 0);
  return 1;
}

// Numbers print as the original prints them: whole ones with all their digits, others with as
// many as it takes to read the same number back.
void clua_push_number_text(lua_State *L, double number) {
  char text[64];
  if (number == (double)(int64_t)number && fabs(number) < 9.2e18) {
    snprintf(text, sizeof text, "%lld", (long long)number);
    lua_pushstring(L, text);
    return;
  }
  if (isnan(number) || isinf(number)) {
    lua_pushstring(L, isnan(number) ? "NaN" : number < 0 ? "-Inf" : "+Inf");
    return;
  }
  int digits = 1;
  do {
    snprintf(text, sizeof text, "%.*e", digits - 1, number);
  } while (strtod(text, NULL) != number && ++digits <= 17);
  int exponent = atoi(strchr(text, 'e') + 1);
  if (exponent >= -4 && exponent < 6) {
    int places = digits - 1 - exponent;
    snprintf(text, sizeof text, "%.*f", places > 0 ? places : 0, number);
  }
  lua_pushstring(L, text);
}

static int to_string(lua_State *L) {
  if (lua_type(L, 1) == LUA_TNUMBER) {
    clua_push_number_text(L, lua_tonumber(L, 1));
    return 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static locale_t unicode;

static void open_unicode(void) { unicode = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL); }

// The length of the character that begins at `at`, and the character; 0 where there is none.
static size_t character(const char *at, size_t left, wchar_t *out) {
  const unsigned char *bytes = (const unsigned char *)at;
  size_t count = bytes[0] < 0x80 ? 1 : bytes[0] < 0xc2 ? 0 : bytes[0] < 0xe0 ? 2
                 : bytes[0] < 0xf0 ? 3 : bytes[0] < 0xf5 ? 4 : 0;
  if (count == 0 || count > left) return 0;
  wchar_t value = count == 1 ? bytes[0] : bytes[0] & (0x7f >> count);
  for (size_t place = 1; place < count; place++) {
    if ((bytes[place] & 0xc0) != 0x80) return 0;
    value = value << 6 | (bytes[place] & 0x3f);
  }
  *out = value;
  return count;
}

static void add_character(luaL_Buffer *buffer, wchar_t value) {
  if (value < 0x80) {
    luaL_addchar(buffer, (char)value);
    return;
  }
  int more = value < 0x800 ? 1 : value < 0x10000 ? 2 : 3;
  luaL_addchar(buffer, (char)(0xff << (7 - more) | value >> 6 * more));
  while (more-- > 0) luaL_addchar(buffer, (char)(0x80 | (value >> 6 * more & 0x3f)));
}

// The letters of all scripts, as in the original, and not those of ASCII alone.
static int change_case(lua_State *L, wint_t (*change)(wint_t, locale_t)) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, open_unicode);
  size_t count;
  const char *text = luaL_checklstring(L, 1, &count);
  clua_steps(L, (int64_t)count);
  luaL_Buffer buffer;
  luaL_buffinit(L, &buffer);
  for (size_t at = 0; at < count;) {
    wchar_t value = 0;
    size_t width = character(text + at, count - at, &value);
    if (width == 0) {
      luaL_addchar(&buffer, text[at]);
      at += 1;
    } else {
      at += width;
      add_character(&buffer, unicode == NULL ? value : (wchar_t)change((wint_t)value, unicode));
    }
  }
  luaL_pushresult(&buffer);
  return 1;
}

static int upper(lua_State *L) { return change_case(L, towupper_l); }

static int lower(lua_State *L) { return change_case(L, towlower_l); }

static int repeat(lua_State *L) {
  size_t count;
  luaL_checklstring(L, 1, &count);
  lua_Number times = luaL_checknumber(L, 2);
  if (count == 0 || times < 1) {
    lua_pushliteral(L, "");
    return 1;
  }
  if ((double)count * times > (double)clua_job_of(L)->limits.memory_max) {
    clua_spend(L, "too much memory");
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

// Moves elements in a loop of its own, which no hook sees into.
static int moving(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  clua_steps(L, (int64_t)lua_objlen(L, 1) / 8);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

// The table on top: `name` becomes `function`, which finds the old value as its upvalue.
static void wrap(lua_State *L, const char *name, lua_CFunction function) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
}

static void open(lua_State *L, const char *name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_pushstring(L, name);
  lua_call(L, 1, 0);
}

static void open_base(lua_State *L) {
  static const char *const refused[] = {"require",  "module", "load",  "loadstring",
                                        "loadfile", "dofile", NULL};
  open(L, "", luaopen_base);
  lua_pushvalue(L, LUA_GLOBALSINDEX);
  for (int place = 0; refused[place] != NULL; place++) {
    lua_pushstring(L, refused[place]);
    lua_pushcclosure(L, unavailable, 1);
    lua_setfield(L, -2, refused[place]);
  }
  wrap(L, "tostring", to_string);
  clua_open_conversions(L);
  lua_pushcfunction(L, silent);
  lua_setfield(L, -2, "print");
  lua_pushcfunction(L, collect);
  lua_setfield(L, -2, "collectgarbage");
  // Proxies have finalizers, which run where no hook stops them.
  static const char *const removed[] = {"newproxy", "coroutine", "gcinfo", NULL};
  for (int place = 0; removed[place] != NULL; place++) {
    lua_pushnil(L);
    lua_setfield(L, -2, removed[place]);
  }
  lua_pop(L, 1);
}

void clua_open_libraries(lua_State *L) {
  open_base(L);
  open(L, LUA_TABLIBNAME, luaopen_table);
  open(L, LUA_STRLIBNAME, luaopen_string);
  open(L, LUA_MATHLIBNAME, luaopen_math);
  open(L, LUA_OSLIBNAME, luaopen_os);

  lua_getglobal(L, LUA_TABLIBNAME);
  clua_open_tables(L);
  wrap(L, "sort", moving);
  wrap(L, "maxn", moving);
  lua_pop(L, 1);

  lua_getglobal(L, LUA_STRLIBNAME);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump");
  wrap(L, "rep", repeat);
  wrap(L, "upper", upper);
  wrap(L, "lower", lower);
  clua_open_texts(L);
  clua_open_patterns(L);
  lua_pop(L, 1);

  // Of the original it is the largest number, and no infinity.
  lua_getglobal(L, LUA_MATHLIBNAME);
  lua_pushnumber(L, DBL_MAX);
  lua_setfield(L, -2, "huge");
  clua_open_numbers(L);
  lua_pop(L, 1);

  // Of the system only time is visible.
  static const char *const kept[] = {"clock", "difftime", NULL};
  lua_getglobal(L, LUA_OSLIBNAME);
  lua_newtable(L);
  for (int place = 0; kept[place] != NULL; place++) {
    lua_getfield(L, -2, kept[place]);
    lua_setfield(L, -2, kept[place]);
  }
  clua_open_times(L);
  lua_setglobal(L, LUA_OSLIBNAME);
  lua_pop(L, 1);
}

// `os.date` and `os.time`. The time is given from outside; the letters are those the original
// knows, some of which mean something else than in C.
#define _GNU_SOURCE
#include "clua_internal.h"
#include <string.h>
#include <time.h>

static int64_t now(lua_State *L) { return clua_job_of(L)->limits.now; }

static void set(lua_State *L, const char *name, int value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

/// The form in C of a letter of the original; NULL for a letter it leaves as it is.
static const char *form_of(char letter) {
  switch (letter) {
  case 'a': return "mon";
  case 'A': return "%A";
  case 'b': return "%b";
  case 'B': return "%B";
  case 'c': return "%d %b %y %H:%M %Z";
  case 'd': return "%d";
  case 'F': return "%Y-%m-%d";
  case 'H': return "%H";
  case 'I': return "%I";
  case 'm': return "%m";
  case 'M': return "%M";
  case 'p': return "%p";
  case 'P': return "%P";
  case 'S': return "%S";
  case 'w': return "%w";
  case 'x': return "%H/%M/%S";
  case 'X': return "%H:%M:%S";
  case 'y': return "%y";
  case 'Y': return "%Y";
  case 'z': return "%z";
  case 'Z': return "%Z";
  default: return NULL;
  }
}

static int date(lua_State *L) {
  const char *format = luaL_optstring(L, 1, "%c");
  int is_universal = *format == '!';
  while (*format == '!') format++;
  time_t seconds = (time_t)(lua_isnoneornil(L, 2) ? now(L) : (int64_t)luaL_checknumber(L, 2));
  struct tm parts;
  if ((is_universal ? gmtime_r(&seconds, &parts) : localtime_r(&seconds, &parts)) == NULL) {
    return luaL_error(L, "the time is out of range");
  }
  if (is_universal) parts.tm_zone = "UTC";
  if (strncmp(format, "*t", 2) == 0) {
    lua_newtable(L);
    set(L, "year", parts.tm_year + 1900);
    set(L, "month", parts.tm_mon + 1);
    set(L, "day", parts.tm_mday);
    set(L, "hour", parts.tm_hour);
    set(L, "min", parts.tm_min);
    set(L, "sec", parts.tm_sec);
    set(L, "wday", parts.tm_wday + 1);
    set(L, "yday", 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "isdst");
    return 1;
  }
  luaL_Buffer out;
  luaL_buffinit(L, &out);
  for (; *format != 0; format++) {
    if (*format != '%' || format[1] == 0) {
      luaL_addchar(&out, *format);
      continue;
    }
    format++;
    const char *form = form_of(*format);
    if (form != NULL) {
      char text[128];
      luaL_addlstring(&out, text, strftime(text, sizeof text, form, &parts));
    } else {
      luaL_addchar(&out, '%');
      if (*format != '%') luaL_addchar(&out, *format);
    }
  }
  luaL_pushresult(&out);
  return 1;
}

static int part(lua_State *L, const char *name, int missing) {
  lua_getfield(L, 1, name);
  int value = lua_isnumber(L, -1) ? (int)lua_tointeger(L, -1) : missing;
  lua_pop(L, 1);
  return value;
}

static int seconds_of(lua_State *L) {
  if (lua_isnoneornil(L, 1)) {
    lua_pushnumber(L, (lua_Number)now(L));
    return 1;
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  // Parts out of their range count on; what is missing counts as one too few.
  struct tm parts = {.tm_sec = part(L, "sec", 0),
                     .tm_min = part(L, "min", 0),
                     .tm_hour = part(L, "hour", 12),
                     .tm_mday = part(L, "day", -1),
                     .tm_mon = part(L, "month", -1) - 1,
                     .tm_year = part(L, "year", -1) - 1900,
                     .tm_isdst = -1};
  lua_pushnumber(L, (lua_Number)mktime(&parts));
  return 1;
}

void clua_open_times(lua_State *L) {
  lua_pushcfunction(L, date);
  lua_setfield(L, -2, "date");
  lua_pushcfunction(L, seconds_of);
  lua_setfield(L, -2, "time");
}

#pragma once
#include <stdint.h>

/// How often memory was asked for since the program began, by any thread.
int64_t callocations_count(void);

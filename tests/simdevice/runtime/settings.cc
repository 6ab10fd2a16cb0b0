#include "tests/simdevice/runtime/settings.h"

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace ft::simdevice {
namespace {

constexpr uint64_t kMostDevices = 8;
constexpr uint64_t kLeastMemory = uint64_t{1} << 20, kMostMemory = uint64_t{1} << 40;

bool ReadNumber(const char* text, uint64_t least, uint64_t most, uint64_t* number) {
  const std::string_view digits = text;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), *number);
  return error == std::errc() && end == digits.data() + digits.size() && *number >= least && *number <= most;
}

}  // namespace

bool ReadSettings(const char* (*text_of)(const char* name), Settings* settings, std::string* problem) {
  *settings = Settings();
  const auto wrong = [&](const char* name, const char* expected) {
    *problem = std::string(name) + "=" + text_of(name) + ": expected " + expected;
    return false;
  };
  uint64_t number = 0;
  if (const char* text = text_of("FT_SIM_EAGER")) {
    if (!ReadNumber(text, 0, 1, &number)) return wrong("FT_SIM_EAGER", "0 or 1");
    if (number == 1) settings->schedule = Schedule::kEager;
  }
  if (const char* text = text_of("FT_SIM_SEED")) {
    if (settings->schedule == Schedule::kEager) return wrong("FT_SIM_SEED", "no FT_SIM_EAGER=1 beside it");
    if (!ReadNumber(text, 0, UINT64_MAX, &number)) return wrong("FT_SIM_SEED", "a number");
    settings->schedule = Schedule::kSeeded;
    settings->seed = number;
  }
  if (const char* text = text_of("FT_SIM_DEVICES")) {
    if (!ReadNumber(text, 1, kMostDevices, &number)) return wrong("FT_SIM_DEVICES", "1 to 8");
    settings->devices = static_cast<int>(number);
  }
  if (const char* text = text_of("FT_SIM_MEMORY")) {
    if (!ReadNumber(text, kLeastMemory, kMostMemory, &number)) {
      return wrong("FT_SIM_MEMORY", "bytes, from 1 MiB to 1 TiB");
    }
    settings->memory = number;
  }
  if (const char* text = text_of("FT_SIM_FAULT")) {
    if (!ParseFault(text, &settings->fault)) {
      return wrong("FT_SIM_FAULT", "oom@n, 700@n, 719@n or lost@n with n from 1");
    }
  }
  return true;
}

const Settings& EnvironmentSettings() {
  static const Settings settings = [] {
    Settings read;
    std::string problem;
    if (!ReadSettings([](const char* name) -> const char* { return std::getenv(name); }, &read, &problem)) {
      std::fprintf(stderr, "simulated device: %s\n", problem.c_str());
      std::_Exit(2);
    }
    return read;
  }();
  return settings;
}

}  // namespace ft::simdevice

// Comparison with reference results: every case folder of a directory, one line a case with its largest errors. The
// format of the folders and the limits are described in README.md.
#pragma once

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::golden {

struct CompareOptions {
  std::filesystem::path dir;               // A folder of cases, or one case.
  std::vector<std::string> globs = {"*"};  // Which cases, by name; each must match one.
  std::string dtype = "fp32";              // fp32, bf16 or fp16.
  std::string device = "cpu";              // cpu or gpu.
  bool emulate_bf16_products = false;      // Whether to compute as a CPU that multiplies bf16, on any.
  std::filesystem::path
      not_built;  // A list (not_built.h) of cases that need not pass, and must not; empty = none.
};

// Prints a line a case and a summary. True when every selected case outside the list passes and none inside does.
// NOT_FOUND when the folder is not there or a glob matches nothing.
StatusOr<bool> Compare(const CompareOptions& options, std::ostream& out);

// The verb: compare DIR [--cases GLOB[,GLOB...]]... [--dtype fp32|bf16|fp16] [--device cpu|gpu] [--bf16-products own|emulated] [--not-built FILE].
// Globs are parted by commas or spaces. False = a case that should pass does not, or a listed one does.
StatusOr<bool> CompareVerb(const std::vector<std::string>& arguments);

}  // namespace ft::golden

// What an adapter is beside its rank and alpha, with PEFT's names and meanings.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/base/status.h"

namespace ft::params {

struct AdapterKind {
  bool use_rslora = false;  // Scaled by alpha / sqrt(rank) (Kalajdzievski, arXiv 2312.03732).
  bool use_dora = false;    // Lengths of the weight's rows are trained too (ops/dora.h).
  // Ranks and alphas of modules that differ; the first key that means a module counts (module_pattern.h).
  std::vector<std::pair<std::string, int>> rank_pattern;
  std::vector<std::pair<std::string, double>> alpha_pattern;
  // Modules that are trained whole and have no adapter: ends of names, or whole ones.
  std::vector<std::string> modules_to_save;
  bool ensure_weight_tying = false;  // A saved embedding is the head too, where the model's is.

  // INVALID_ARGUMENT or UNIMPLEMENTED for a pattern that cannot be matched against the module.
  Status Check(std::string_view module) const;
  // REQUIRES: Check(module) of the next three.
  int RankOf(std::string_view module, int rank) const;
  double AlphaOf(std::string_view module, double alpha) const;
  // What the adapter's output is multiplied by.
  double ScaleOf(std::string_view module, int rank, double alpha) const;
  bool Saves(std::string_view module) const;

  bool operator==(const AdapterKind&) const = default;
};

}  // namespace ft::params

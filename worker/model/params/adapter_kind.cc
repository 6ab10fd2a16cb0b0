#include "worker/model/params/adapter_kind.h"

#include <algorithm>
#include <cmath>

#include "worker/model/params/module_pattern.h"

namespace ft::params {
namespace {

template <typename T>
T ValueOf(const std::vector<std::pair<std::string, T>>& pattern, std::string_view module, T otherwise) {
  for (const auto& [key, value] : pattern) {
    const StatusOr<bool> matches = MatchesKey(key, module);
    if (matches.ok() && *matches) return value;
  }
  return otherwise;
}

template <typename T>
Status CheckPattern(const char* what, const std::vector<std::pair<std::string, T>>& pattern,
                    std::string_view module) {
  for (const auto& [key, value] : pattern)
    RETURN_IF_ERROR(WithContext(MatchesKey(key, module).status(), what));
  return absl::OkStatus();
}

}  // namespace

Status AdapterKind::Check(std::string_view module) const {
  RETURN_IF_ERROR(CheckPattern("rank_pattern", rank_pattern, module));
  return CheckPattern("alpha_pattern", alpha_pattern, module);
}

int AdapterKind::RankOf(std::string_view module, int rank) const {
  return ValueOf(rank_pattern, module, rank);
}

double AdapterKind::AlphaOf(std::string_view module, double alpha) const {
  return ValueOf(alpha_pattern, module, alpha);
}

double AdapterKind::ScaleOf(std::string_view module, int rank, double alpha) const {
  const double own_alpha = AlphaOf(module, alpha), own_rank = RankOf(module, rank);
  return own_alpha / (use_rslora ? std::sqrt(own_rank) : own_rank);
}

bool AdapterKind::Saves(std::string_view module) const {
  return std::any_of(modules_to_save.begin(), modules_to_save.end(),
                     [&](const std::string& name) { return EndsWith(module, name); });
}

}  // namespace ft::params

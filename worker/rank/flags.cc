#include "worker/rank/flags.h"

#include <cstdio>

#include "absl/strings/numbers.h"

namespace ft::rank {

StatusOr<Flags> Flags::Parse(const std::vector<std::string>& arguments,
                             const std::set<std::string>& with_value, const std::set<std::string>& switches) {
  Flags flags;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& word = arguments[i];
    if (!word.starts_with("--")) {
      flags.positional_.push_back(word);
      continue;
    }
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    if (switches.contains(name) && equals == std::string::npos) {
      flags.values_[name].emplace_back();
    } else if (!with_value.contains(name)) {
      return absl::InvalidArgumentError(StrCat("unknown option --", name));
    } else if (equals != std::string::npos) {
      flags.values_[name].push_back(word.substr(equals + 1));
    } else if (i + 1 < arguments.size()) {
      flags.values_[name].push_back(arguments[++i]);
    } else {
      return absl::InvalidArgumentError(StrCat("--", name, " expects a value"));
    }
  }
  return flags;
}

std::string Flags::Get(const std::string& name, std::string otherwise) const {
  const auto found = values_.find(name);
  return found == values_.end() ? otherwise : found->second.back();
}

std::vector<std::string> Flags::All(const std::string& name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::vector<std::string>() : found->second;
}

StatusOr<int64_t> Flags::Int(const std::string& name, int64_t otherwise) const {
  if (!Has(name)) return otherwise;
  int64_t value = 0;
  if (absl::SimpleAtoi(Get(name), &value)) return value;
  return absl::InvalidArgumentError(StrCat("--", name, " expects a whole number, got '", Get(name), "'"));
}

StatusOr<double> Flags::Number(const std::string& name, double otherwise) const {
  if (!Has(name)) return otherwise;
  double value = 0;
  if (absl::SimpleAtod(Get(name), &value)) return value;
  return absl::InvalidArgumentError(StrCat("--", name, " expects a number, got '", Get(name), "'"));
}

int Complain(const char* verb, const Status& status) {
  std::fprintf(stderr, "ft-rank %s: %s\n", verb, std::string(Message(status)).c_str());
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

void TellRemarks(const char* verb, const std::vector<std::string>& remarks) {
  for (const std::string& remark : remarks)
    std::fprintf(stderr, "ft-rank %s: note: %s\n", verb, remark.c_str());
}

}  // namespace ft::rank

#include "tests/golden/mmlu_case.h"

#include <cmath>
#include <limits>

#include "core/base/file.h"
#include "nlohmann/json.hpp"
#include "worker/rank/mmlu.h"

namespace ft::golden {
namespace {

constexpr uint64_t kMaxBytes = 16 << 20;
constexpr const char* kTwice =
    "philosophy";  // A subject and a sub-category: XTuner's flat dictionary keeps the latter.

double Difference(const std::vector<rank::MmluScore>& scores, const nlohmann::json& metrics, bool subjects,
                  double lost) {
  double worst = scores.empty() ? std::numeric_limits<double>::infinity() : 0;
  for (const auto& [name, percent] : scores) {
    const bool is_lost = subjects && name == kTwice;
    const double expected = is_lost ? lost : metrics.value(name, std::numeric_limits<double>::quiet_NaN());
    const double difference = std::fabs(percent - expected);
    worst = difference <= worst ? worst : difference;  // Also of what is no number.
  }
  return worst;
}

}  // namespace

StatusOr<std::vector<Measure>> MmluCase(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(folder / "results.json", kMaxBytes));
  const nlohmann::json root = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!root.is_object() || root.value("kind", "") != "mmlu")
    return absl::UnimplementedError("no kind of case that this version compares");
  std::vector<rank::MmluAnswer> answers;
  for (const nlohmann::json& answer : root["results"])
    answers.push_back({answer[0].get<std::string>(), answer[1].get<int>(), answer[2].get<int>()});
  const rank::MmluScores scores = rank::ScoreMmlu(answers);
  const nlohmann::json& metrics = root["metrics"];
  const double lost = root["philosophy_as_subject"].get<double>();
  std::vector<Measure> measures;
  Record(measures, {"subjects", Difference(scores.subjects, metrics, /*subjects=*/true, lost), 1e-9});
  Record(measures,
         {"subcategories", Difference(scores.subcategories, metrics, /*subjects=*/false, lost), 1e-9});
  Record(measures, {"categories", Difference(scores.categories, metrics, /*subjects=*/false, lost), 1e-9});
  Record(measures, {"average", std::fabs(scores.average - metrics["average"].get<double>()), 1e-9});
  // None is missing: all names of the dictionary, the lost subject and the average apart.
  const size_t found = scores.subjects.size() + scores.subcategories.size() + scores.categories.size();
  Record(measures, {"names", std::fabs(static_cast<double>(found) - static_cast<double>(metrics.size())), 0});
  return measures;
}

}  // namespace ft::golden

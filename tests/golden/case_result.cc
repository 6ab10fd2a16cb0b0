#include "tests/golden/case_result.h"

#include <algorithm>
#include <cstdio>

namespace ft::golden {

bool CaseResult::passed() const {
  return status.ok() && !measures.empty() &&
         std::all_of(measures.begin(), measures.end(), [](const Measure& m) { return m.passed(); });
}

std::string CaseResult::Details() const {
  std::string text;
  const auto add = [&](const auto&... parts) { StrAppend(&text, text.empty() ? "" : "  ", parts...); };
  if (!status.ok()) add(absl::IsUnimplemented(status) ? "unsupported: " : "", Message(status));
  for (const Measure& measure : measures) {
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, " %.2g/%.2g", measure.error, measure.limit);
    add(measure.name, numbers, measure.passed() ? "" : " !");
  }
  for (const std::string& part : skipped) add("skipped: ", part);
  return text.empty() ? "nothing was compared" : text;
}

std::string CaseResult::Line() const { return StrCat(passed() ? "PASS " : "FAIL ", name, "  ", Details()); }

void Record(std::vector<Measure>& measures, const Measure& measure) {
  for (Measure& known : measures) {
    if (known.name != measure.name) continue;
    // The worst is the one nearest to, or farthest beyond, its limit; not a number is worst of all.
    if (!(measure.error * known.limit <= known.error * measure.limit)) known = measure;
    return;
  }
  measures.push_back(measure);
}

}  // namespace ft::golden

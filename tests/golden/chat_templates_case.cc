#include "tests/golden/chat_templates_case.h"

#include "tests/support/chat_template_reference.h"

namespace ft::golden {

StatusOr<std::vector<Measure>> ChatTemplatesCase(const std::filesystem::path& folder) {
  ASSIGN_OR_RETURN(const ft::testing::ChatTemplateDifferences found,
                   ft::testing::CompareChatTemplates(folder));
  if (found.texts.all == 0) return absl::InvalidArgumentError("expected.json has no texts");
  std::vector<Measure> measures;
  Record(measures, {"texts", static_cast<double>(found.texts.other), 0});
  Record(measures, {"marks", static_cast<double>(found.marks.other), 0});
  Record(measures, {"refusals", static_cast<double>(found.refusals.other), 0});
  return measures;
}

}  // namespace ft::golden

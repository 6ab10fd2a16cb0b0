#include "worker/rank/mmlu.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "core/base/check.h"
#include "core/base/excerpt.h"
#include "core/base/file.h"
#include "core/recipe/parse.h"
#include "nlohmann/json.hpp"

namespace ft::rank {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kMaxBytes = uint64_t{1} << 30;  // The test file of 14,042 questions has 55 MB.
constexpr int kMaxDepth = 16;
constexpr size_t kLongestName = 64;  // Of a subject whose nearest is looked for.

struct Subject {
  std::string_view name, subcategory;
};
constexpr Subject kSubjects[] = {
    {"abstract_algebra", "math"},
    {"anatomy", "health"},
    {"astronomy", "physics"},
    {"business_ethics", "business"},
    {"clinical_knowledge", "health"},
    {"college_biology", "biology"},
    {"college_chemistry", "chemistry"},
    {"college_computer_science", "computer science"},
    {"college_mathematics", "math"},
    {"college_medicine", "health"},
    {"college_physics", "physics"},
    {"computer_security", "computer science"},
    {"conceptual_physics", "physics"},
    {"econometrics", "economics"},
    {"electrical_engineering", "engineering"},
    {"elementary_mathematics", "math"},
    {"formal_logic", "philosophy"},
    {"global_facts", "other"},
    {"high_school_biology", "biology"},
    {"high_school_chemistry", "chemistry"},
    {"high_school_computer_science", "computer science"},
    {"high_school_european_history", "history"},
    {"high_school_geography", "geography"},
    {"high_school_government_and_politics", "politics"},
    {"high_school_macroeconomics", "economics"},
    {"high_school_mathematics", "math"},
    {"high_school_microeconomics", "economics"},
    {"high_school_physics", "physics"},
    {"high_school_psychology", "psychology"},
    {"high_school_statistics", "math"},
    {"high_school_us_history", "history"},
    {"high_school_world_history", "history"},
    {"human_aging", "health"},
    {"human_sexuality", "culture"},
    {"international_law", "law"},
    {"jurisprudence", "law"},
    {"logical_fallacies", "philosophy"},
    {"machine_learning", "computer science"},
    {"management", "business"},
    {"marketing", "business"},
    {"medical_genetics", "health"},
    {"miscellaneous", "other"},
    {"moral_disputes", "philosophy"},
    {"moral_scenarios", "philosophy"},
    {"nutrition", "health"},
    {"philosophy", "philosophy"},
    {"prehistory", "history"},
    {"professional_accounting", "other"},
    {"professional_law", "law"},
    {"professional_medicine", "health"},
    {"professional_psychology", "psychology"},
    {"public_relations", "politics"},
    {"security_studies", "politics"},
    {"sociology", "culture"},
    {"us_foreign_policy", "politics"},
    {"virology", "health"},
    {"world_religions", "philosophy"},
};

struct Subcategory {
  std::string_view name, category;
};
constexpr Subcategory kSubcategories[] = {
    {"physics", "STEM"},
    {"chemistry", "STEM"},
    {"biology", "STEM"},
    {"computer science", "STEM"},
    {"math", "STEM"},
    {"engineering", "STEM"},
    {"history", "humanities"},
    {"philosophy", "humanities"},
    {"law", "humanities"},
    {"politics", "social sciences"},
    {"culture", "social sciences"},
    {"economics", "social sciences"},
    {"geography", "social sciences"},
    {"psychology", "social sciences"},
    {"other", "other (business, health, misc.)"},
    {"business", "other (business, health, misc.)"},
    {"health", "other (business, health, misc.)"},
};

const Subject* FindSubject(std::string_view name) {
  const auto* found = std::find_if(std::begin(kSubjects), std::end(kSubjects),
                                   [&](const Subject& subject) { return subject.name == name; });
  return found == std::end(kSubjects) ? nullptr : found;
}

Status UnknownSubject(const std::string& where, const std::string& name) {
  std::set<std::string> known;
  for (const Subject& subject : kSubjects) known.emplace(subject.name);
  const std::string nearest = recipe::Nearest(name.substr(0, kLongestName), known);
  return absl::InvalidArgumentError(
      StrCat(where, ": MMLU has no subject \"", Excerpt(name), "\"",
             nearest.empty() ? "; take it out" : StrCat(", the nearest that it has: ", nearest)));
}

StatusOr<MmluQuestion> QuestionOf(const Json& entry, const std::string& where) {
  const auto text = [&](const char* key) -> StatusOr<std::string> {
    if (entry.is_object() && entry.contains(key) && entry[key].is_string())
      return entry[key].get<std::string>();
    return absl::InvalidArgumentError(StrCat(where, ": '", key, "' is missing or no text"));
  };
  MmluQuestion question;
  ASSIGN_OR_RETURN(question.prompt, text("input"));
  ASSIGN_OR_RETURN(question.subject, text("subject"));
  ASSIGN_OR_RETURN(const std::string answer, text("output"));
  if (FindSubject(question.subject) == nullptr) return UnknownSubject(where, question.subject);
  question.right = answer.size() == 1 ? answer[0] - 'A' : -1;
  if (question.right >= 0 && question.right < kMmluChoices) return question;
  return absl::InvalidArgumentError(
      StrCat(where, ": the answer is \"", Excerpt(answer), "\"; it must be A, B, C or D"));
}

struct Count {
  int64_t right = 0, all = 0;
  double percent() const { return 100.0 * static_cast<double>(right) / static_cast<double>(all); }
};

// In the order of `table`, which may repeat names.
template <typename Table, typename NameOf>
std::vector<MmluScore> InOrder(const Table& table, const std::map<std::string_view, Count>& counts,
                               const NameOf& name_of) {
  std::vector<MmluScore> scores;
  std::set<std::string_view> done;
  for (const auto& row : table) {
    const std::string_view name = name_of(row);
    const auto count = counts.find(name);
    if (count != counts.end() && done.insert(name).second)
      scores.emplace_back(std::string(name), count->second.percent());
  }
  return scores;
}

}  // namespace

StatusOr<std::vector<MmluQuestion>> ReadMmlu(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(file, kMaxBytes));
  bool too_deep = false;
  const auto watch = [&too_deep](int depth, Json::parse_event_t, Json&) {
    too_deep = too_deep || depth > kMaxDepth;
    return !too_deep;
  };
  const Json root = Json::parse(text, watch, /*allow_exceptions=*/false);
  if (too_deep || !root.is_array() || root.empty()) {
    return absl::InvalidArgumentError(
        StrCat(file.string(), ": expects a JSON list of MMLU's questions, each {input, output, subject}"));
  }
  std::vector<MmluQuestion> questions;
  for (size_t i = 0; i < root.size(); ++i) {
    ASSIGN_OR_RETURN(MmluQuestion question, QuestionOf(root[i], StrCat(file.string(), ": entry ", i + 1)));
    questions.push_back(std::move(question));
  }
  return questions;
}

MmluScores ScoreMmlu(std::span<const MmluAnswer> answers) {
  std::map<std::string_view, Count> subjects, subcategories, categories;
  for (const MmluAnswer& answer : answers) {
    const Subject* subject = FindSubject(answer.subject);
    FT_CHECK(subject != nullptr) << answer.subject;
    const auto* subcategory =
        std::find_if(std::begin(kSubcategories), std::end(kSubcategories),
                     [&](const Subcategory& s) { return s.name == subject->subcategory; });
    for (Count* count : {&subjects[subject->name], &subcategories[subject->subcategory],
                         &categories[subcategory->category]}) {
      ++count->all;
      count->right += answer.predicted == answer.right ? 1 : 0;
    }
  }
  MmluScores scores;
  scores.subjects = InOrder(kSubjects, subjects, [](const Subject& s) { return s.name; });
  scores.subcategories = InOrder(kSubcategories, subcategories, [](const Subcategory& s) { return s.name; });
  scores.categories = InOrder(kSubcategories, categories, [](const Subcategory& s) { return s.category; });
  for (const MmluScore& score : scores.subjects)
    scores.average += score.second / static_cast<double>(scores.subjects.size());
  return scores;
}

}  // namespace ft::rank

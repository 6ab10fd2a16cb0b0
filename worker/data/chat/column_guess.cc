#include "worker/data/chat/column_guess.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <set>
#include <string_view>
#include <tuple>

#include "worker/data/readers/columns.h"

namespace ft::data {
namespace {

// Parts of names, lower case.
constexpr std::array<std::string_view, 15> kQuestionWords = {
    "question", "query", "prompt", "instruct", "ask",  "human", "user", "input",
    "问",       "询",    "题",     "指令",     "질문", "質問",  "문의"};
constexpr std::array<std::string_view, 15> kAnswerWords = {
    "answer", "reply", "respon", "output", "complet", "solution", "assistant", "bot",
    "答",     "回复",  "回覆",   "输出",   "解",      "답변",     "回答"};

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return lower;
}

template <size_t N>
bool HoldsOne(const std::string& name, const std::array<std::string_view, N>& words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view word) { return name.find(word) != std::string::npos; });
}

// An address, or nothing but digits and the marks of dates, times and numbers.
bool IsNoSentence(std::string_view text) {
  if (text.starts_with("http://") || text.starts_with("https://") || text.starts_with("www.")) return true;
  return text.find_first_not_of("0123456789-/:.,TZ +%") == std::string_view::npos;
}

struct Facts {
  std::string name;
  bool question_word = false, answer_word = false;
  int64_t texts = 0, questions = 0, no_sentences = 0, bytes = 0;
  std::set<std::string> distinct;

  bool Varied() const { return static_cast<int64_t>(distinct.size()) * 2 > texts; }
  bool Asks() const { return questions * 2 > texts; }
  int64_t Length() const { return texts == 0 ? 0 : bytes / texts; }
};

Facts Look(std::span<const Record> first, const std::string& name) {
  Facts facts{.name = name};
  const std::string lower = Lower(name);
  facts.answer_word = HoldsOne(lower, kAnswerWords);
  facts.question_word = !facts.answer_word && HoldsOne(lower, kQuestionWords);
  for (const Record& record : first) {
    const Field* field = record.Find(name);
    if (field == nullptr || field->kind != FieldKind::kText) continue;
    const std::string text = Trimmed(field->text);
    if (text.empty()) continue;
    ++facts.texts;
    facts.bytes += static_cast<int64_t>(text.size());
    facts.questions += text.ends_with("?") || text.ends_with("？");
    facts.no_sentences += IsNoSentence(text);
    facts.distinct.insert(text);
  }
  return facts;
}

std::vector<Facts> Candidates(std::span<const Record> first, const std::vector<std::string>& fields) {
  std::vector<Facts> found;
  for (const std::string& name : fields) {
    if (name.empty()) continue;
    Facts facts = Look(first, name);
    const bool mostly_there = facts.texts * 2 > static_cast<int64_t>(first.size());
    if (mostly_there && facts.no_sentences * 2 <= facts.texts) found.push_back(std::move(facts));
  }
  return found;
}

}  // namespace

std::optional<ColumnGuess> GuessColumns(std::span<const Record> first,
                                        const std::vector<std::string>& fields) {
  std::vector<Facts> candidates = Candidates(first, fields);
  if (candidates.size() < 2) return std::nullopt;
  // Among equals the last wins: answers stand behind questions.
  const auto output =
      std::max_element(candidates.rbegin(), candidates.rend(), [](const Facts& a, const Facts& b) {
        const auto rank = [](const Facts& f) {
          return std::tuple(f.answer_word, !f.question_word, !f.Asks(), f.Varied(), f.Length());
        };
        return rank(a) < rank(b);
      });
  const ColumnGuess guess{.output = output->name};
  candidates.erase(std::next(output).base());
  const auto input =
      std::max_element(candidates.begin(), candidates.end(), [](const Facts& a, const Facts& b) {
        const auto rank = [](const Facts& f) {
          return std::tuple(f.question_word, f.Asks(), !f.answer_word, f.Varied(), f.Length());
        };
        return rank(a) < rank(b);
      });
  return ColumnGuess{.input = input->name, .output = guess.output};
}

std::string LongestText(std::span<const Record> first, const std::vector<std::string>& fields) {
  const std::vector<Facts> candidates = Candidates(first, fields);
  const auto longest =
      std::max_element(candidates.begin(), candidates.end(),
                       [](const Facts& a, const Facts& b) { return a.Length() < b.Length(); });
  return longest == candidates.end() ? "" : longest->name;
}

}  // namespace ft::data

#include "worker/data/chat/data_set_maps.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "core/base/excerpt.h"
#include "worker/data/jinja/jinja_text.h"

namespace ft::data {
namespace {

constexpr WholeFieldKind kWholeFieldKinds[] = {
    {"oasst1", "text", true, FromGuanacoText},
    {"wizardlm", "conversations", true, FromWizard},
    {"msagent_react", "conversations", false, FromAgent},
};

std::string_view Strip(std::string_view text) { return jinja::StripLeft(jinja::StripRight(text)); }

// The pieces of a text that begin with a role, without it.
std::vector<std::string_view> SpokenPieces(std::string_view text) {
  constexpr std::string_view kMark = "###", kRoles[] = {"Human:", "Assistant:"};
  std::vector<std::string_view> spoken;
  while (true) {
    const size_t end = std::min(text.find(kMark), text.size());
    const std::string_view piece = Strip(text.substr(0, end));
    for (const std::string_view role : kRoles) {
      if (piece.starts_with(role)) spoken.push_back(Strip(piece.substr(role.size())));
    }
    if (end == text.size()) return spoken;
    text.remove_prefix(end + kMark.size());
  }
}

// A text under `key` of an entry of a list; nothing where it has none.
const std::string* TextAt(const nlohmann::ordered_json& entry, const char* key) {
  const auto found = entry.is_object() ? entry.find(key) : entry.end();
  return entry.is_object() && found != entry.end() && found->is_string()
             ? found->get_ptr<const std::string*>()
             : nullptr;
}

}  // namespace

const ColumnKind* FindColumnKind(std::string_view kind) {
  const auto found = std::find_if(std::begin(kColumnKinds), std::end(kColumnKinds),
                                  [&](const ColumnKind& known) { return known.kind == kind; });
  return found == std::end(kColumnKinds) ? nullptr : found;
}

const WholeFieldKind* FindWholeFieldKind(std::string_view kind) {
  const auto found = std::find_if(std::begin(kWholeFieldKinds), std::end(kWholeFieldKinds),
                                  [&](const WholeFieldKind& known) { return known.kind == kind; });
  return found == std::end(kWholeFieldKinds) ? nullptr : found;
}

StatusOr<FieldConversation> FromGuanacoText(const Field& field) {
  FieldConversation made;
  if (field.kind != FieldKind::kText) {
    made.wrong = "\"text\" holds no text; write \"### Human: question ### Assistant: answer\"";
    return made;
  }
  const std::vector<std::string_view> pieces = SpokenPieces(Strip(field.text));
  if (pieces.size() < 2) {
    made.wrong =
        StrCat("\"text\" holds ", pieces.empty() ? "nothing that begins" : "only one piece that begins",
               " with \"### Human:\" or \"### Assistant:\"; write a question and an answer, or delete the "
               "record");
    return made;
  }
  for (size_t i = 0; i + 1 < pieces.size(); i += 2) {
    Turn turn;
    turn.input = std::string(pieces[i]);
    turn.output = std::string(pieces[i + 1]);
    made.turns.push_back(std::move(turn));
  }
  made.left_over = pieces.size() % 2 == 1;
  return made;
}

StatusOr<FieldConversation> FromWizard(const Field& field) {
  if (field.kind != FieldKind::kNested || !field.nested.is_array())
    return absl::InvalidArgumentError("\"conversations\" must be a list of {from, value}");
  FieldConversation made;
  Turn pending;
  bool asked = false;
  for (const nlohmann::ordered_json& entry : field.nested) {
    const std::string* from = TextAt(entry, "from");
    const std::string* value = TextAt(entry, "value");
    if (from == nullptr || value == nullptr)
      return absl::InvalidArgumentError("\"conversations\" must be a list of {from, value}");
    if (*from == "human") {
      pending.input += *value;
      asked = true;
    } else if (*from == "gpt") {
      if (!asked && made.turns.empty()) continue;
      pending.output = *value;
      made.turns.push_back(std::exchange(pending, Turn()));
      asked = false;
    } else {
      return absl::InvalidArgumentError(
          StrCat("\"conversations\" has the role \"", Excerpt(*from, 40), "\"; known are human and gpt"));
    }
  }
  made.left_over = asked;
  return made;
}

}  // namespace ft::data

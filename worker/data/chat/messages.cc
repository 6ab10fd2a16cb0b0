#include "worker/data/chat/messages.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "worker/data/chat/tool_calls.h"

namespace ft::data {
namespace {

using json = nlohmann::ordered_json;

// OpenAI and Together: weight. Axolotl: train, training. ms-swift and XTuner: loss. LLaMA-Factory:
// loss_weight.
constexpr std::array<std::string_view, 6> kLossKeys = {"weight", "train",     "training",
                                                       "loss",   "loss_mask", "loss_weight"};
constexpr std::array<std::string_view, 2> kRoleKeys = {"role", "from"};
constexpr std::array<std::string_view, 2> kTextKeys = {"content", "value"};
constexpr std::array<std::string_view, 3> kCallKeys = {"tool_calls", "function_call", "tool_call_id"};
constexpr std::array<std::string_view, 3> kReasoningKeys = {"reasoning_content", "reasoning", "thinking"};

constexpr std::string_view kCallsAdvice =
    "which is not read; write calls as text: an answer with role function_call and what came of it with role "
    "observation";

template <size_t N>
bool IsOne(const std::array<std::string_view, N>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

Status Error(const Origin& origin, size_t number, std::string_view why) {
  return absl::InvalidArgumentError(StrCat(Describe(origin), ": message ", number, " ", why));
}

// Which of `names` the message has, null when none; refused when several say something.
template <size_t N>
StatusOr<std::string> OneKey(const json& item, const std::array<std::string_view, N>& names, size_t number,
                             const Origin& origin) {
  std::string found;
  for (const std::string_view name : names) {
    const auto at = item.find(name);
    if (at == item.end() || at->is_null()) continue;
    if (!found.empty())
      return Error(origin, number, StrCat("has both \"", found, "\" and \"", name, "\"; keep one"));
    found = name;
  }
  return found;
}

StatusOr<Speaker> SpeakerOf(const json& item, const MessagePlace& place) {
  const auto& [number, origin, takes] = place;
  ASSIGN_OR_RETURN(const std::string key, OneKey(item, kRoleKeys, number, origin));
  if (key.empty()) return Error(origin, number, "has no \"role\"; every message needs one");
  if (!item[key].is_string()) return Error(origin, number, StrCat("has a \"", key, "\" that is no text"));
  const std::string name = item[key].get<std::string>();
  std::string word = name;
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (word == "system" || word == "developer") return Speaker::kSystem;
  if (word == "user" || word == "human" || word == "prompter") return Speaker::kQuestion;
  if (word == "assistant" || word == "gpt" || word == "chatgpt" || word == "bot" || word == "model")
    return Speaker::kAnswer;
  if (word == "function_call" || word == "tool_call") return Speaker::kAnswer;
  if (word == "observation" || word == "tool_response") return Speaker::kToolResult;
  if (word == "tool" && key == "from") return Speaker::kToolResult;
  if (takes.tools && (word == "tool" || word == "function")) return Speaker::kToolResult;
  if (word == "tool" || word == "function")
    return Error(origin, number, StrCat("has the role \"", name, "\", ", kCallsAdvice));
  return Error(origin, number,
               StrCat("has the role \"", name,
                      "\"; known are system, user (human), assistant (gpt), function_call "
                      "and observation"));
}

// The text of `content` as a list of parts: [{"type": "text", "text" or "value": ...}].
StatusOr<std::string> TextOfParts(const json& parts, size_t number, const Origin& origin) {
  std::string text;
  for (const json& part : parts) {
    if (!part.is_object())
      return Error(origin, number, "holds a part that is no object like {\"type\": \"text\", \"text\": ...}");
    const auto type = part.find("type");
    const std::string kind = type != part.end() && type->is_string() ? type->get<std::string>() : "";
    if (kind != "text") {
      return Error(origin, number,
                   StrCat("holds a part of type \"", kind, "\"; only parts of type text are read"));
    }
    constexpr std::array<std::string_view, 2> kPartTexts = {"text", "value"};
    ASSIGN_OR_RETURN(const std::string key, OneKey(part, kPartTexts, number, origin));
    if (key.empty() || !part[key].is_string())
      return Error(origin, number, "holds a part of type text without a \"text\"");
    for (const auto& [name, value] : part.items()) {
      if (name == "type" || name == key || SaysNothing(value)) continue;
      return Error(origin, number,
                   StrCat("holds a part with the unknown key \"", name, "\"; it takes type and text"));
    }
    text += part[key].get<std::string>();
  }
  return text;
}

StatusOr<std::string> TextOf(const json& item, size_t number, const Origin& origin) {
  ASSIGN_OR_RETURN(const std::string key, OneKey(item, kTextKeys, number, origin));
  if (key.empty()) {
    const bool from = item.contains("from") || item.contains("value");
    return Error(origin, number, StrCat("has no \"", from ? "value" : "content", "\"; give it a text"));
  }
  const json& content = item[key];
  if (content.is_string()) return content.get<std::string>();
  if (content.is_array()) return TextOfParts(content, number, origin);
  return Error(origin, number, StrCat("has a \"", key, "\" that is neither text nor a list of text parts"));
}

Status CheckKeys(const json& item, Speaker speaker, const MessagePlace& place) {
  const auto& [number, origin, takes] = place;
  for (const auto& [key, value] : item.items()) {
    if (IsOne(kRoleKeys, key) || IsOne(kTextKeys, key) || IsOne(kLossKeys, key) || SaysNothing(value))
      continue;
    const bool of_call = speaker == Speaker::kAnswer && (key == "tool_calls" || key == "function_call");
    const bool of_result = speaker == Speaker::kToolResult && (key == "tool_call_id" || key == "name");
    if (takes.tools && (of_call || of_result)) continue;
    if (takes.reasoning && speaker == Speaker::kAnswer && IsOne(kReasoningKeys, key)) continue;
    if (IsOne(kCallKeys, key)) return Error(origin, number, StrCat("has \"", key, "\", ", kCallsAdvice));
    if (IsOne(kReasoningKeys, key)) {
      return Error(origin, number,
                   StrCat("has \"", key,
                          "\", which is not read; write the reasoning into the answer's text, as the model "
                          "is to give it"));
    }
    return Error(origin, number,
                 StrCat("has the unknown key \"", key,
                        "\"; it takes role (from), content (value) and weight (train, loss, loss_mask, "
                        "loss_weight); take the key out"));
  }
  return absl::OkStatus();
}

// The calls of an answer: OpenAI's, or the text of ShareGPT's function_call where it is nothing but calls.
Status ReadCallsInto(const json& item, const MessagePlace& place, Message* message) {
  constexpr std::array<std::string_view, 2> kLists = {"tool_calls", "function_call"};
  for (const std::string_view key : kLists) {
    const auto found = item.find(key);
    if (found == item.end() || SaysNothing(*found)) continue;
    StatusOr<std::vector<ToolCall>> calls = ReadCalls(*found, key);
    if (!calls.ok()) return Error(place.origin, place.number, StrCat("has ", calls.status().message()));
    message->calls.insert(message->calls.end(), calls->begin(), calls->end());
  }
  return absl::OkStatus();
}

// The text under one of `keys`, empty when none says anything.
template <size_t N>
StatusOr<std::string> TextUnder(const json& item, const std::array<std::string_view, N>& keys,
                                const MessagePlace& place) {
  ASSIGN_OR_RETURN(const std::string key, OneKey(item, keys, place.number, place.origin));
  if (key.empty()) return std::string();
  if (!item[key].is_string())
    return Error(place.origin, place.number, StrCat("has a \"", key, "\" that is no text"));
  return item[key].template get<std::string>();
}

bool IsFunctionCall(const json& item) {
  for (const std::string_view key : kRoleKeys) {
    const auto role = item.find(key);
    if (role != item.end() && role->is_string() && (*role == "function_call" || *role == "tool_call"))
      return true;
  }
  return false;
}

// Tools and reasoning of a message whose template takes them.
Status ReadParts(const json& item, const MessagePlace& place, Message* message) {
  constexpr std::array<std::string_view, 1> kId = {"tool_call_id"}, kName = {"name"};
  if (place.takes.tools && message->speaker == Speaker::kAnswer)
    RETURN_IF_ERROR(ReadCallsInto(item, place, message));
  if (place.takes.tools && message->speaker == Speaker::kToolResult) {
    ASSIGN_OR_RETURN(message->tool_call_id, TextUnder(item, kId, place));
    ASSIGN_OR_RETURN(message->tool_name, TextUnder(item, kName, place));
  }
  if (place.takes.reasoning && message->speaker == Speaker::kAnswer) {
    ASSIGN_OR_RETURN(message->reasoning, TextUnder(item, kReasoningKeys, place));
  }
  return absl::OkStatus();
}

// The text of a message; an answer that calls tools may have none.
Status ReadText(const json& item, const MessagePlace& place, Message* message) {
  const bool none = std::none_of(kTextKeys.begin(), kTextKeys.end(), [&](std::string_view key) {
    const auto found = item.find(key);
    return found != item.end() && !found->is_null();
  });
  message->null_text = none && !message->calls.empty();
  if (message->null_text) return absl::OkStatus();
  ASSIGN_OR_RETURN(message->text, TextOf(item, place.number, place.origin));
  if (!place.takes.tools || !message->calls.empty() || !IsFunctionCall(item)) return absl::OkStatus();
  std::optional<std::vector<ToolCall>> calls = CallsOfText(message->text);
  if (!calls) return absl::OkStatus();
  message->calls = *std::move(calls);
  message->text.clear();
  message->null_text = true;
  return absl::OkStatus();
}

}  // namespace

bool SaysNothing(const json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().empty();
  return value.is_null() || (value.is_structured() && value.empty());
}

StatusOr<bool> LossOf(const json& item, std::string_view key, size_t number, const Origin& origin) {
  const auto found = item.find(key);
  if (found == item.end() || found->is_null()) return true;
  if (found->is_boolean()) return found->get<bool>();
  if (found->is_number()) {
    const double value = found->get<double>();
    if (value == 0 || value == 1) return value == 1;
  }
  const std::string word = found->is_string() ? found->get<std::string>() : "";
  if (word == "true" || word == "false") return word == "true";
  return Error(origin, number,
               StrCat("has a \"", key,
                      "\" that is neither 0 nor 1, true nor false; an answer is learnt or only read, "
                      "shares are not built"));
}

StatusOr<Message> ReadMessage(const json& item, const MessagePlace& place) {
  const Origin& origin = place.origin;
  const size_t number = place.number;
  if (!item.is_object())
    return Error(origin, number, "must be an object like {\"role\": \"user\", \"content\": ...}");
  Message message;
  ASSIGN_OR_RETURN(message.speaker, SpeakerOf(item, place));
  RETURN_IF_ERROR(CheckKeys(item, message.speaker, place));
  RETURN_IF_ERROR(ReadParts(item, place, &message));
  RETURN_IF_ERROR(ReadText(item, place, &message));
  ASSIGN_OR_RETURN(const std::string key, OneKey(item, kLossKeys, number, origin));
  if (key.empty()) return message;
  ASSIGN_OR_RETURN(message.loss, LossOf(item, key, number, origin));
  if (message.loss && message.speaker != Speaker::kAnswer) {
    return Error(origin, number,
                 StrCat("is no answer and has a \"", key,
                        "\" that asks for it to be learnt; only answers are, take the key out"));
  }
  return message;
}

bool IsMessageList(const json& list) {
  if (!list.is_array() || list.empty() || !list.front().is_object()) return false;
  return std::any_of(kRoleKeys.begin(), kRoleKeys.end(),
                     [&](std::string_view key) { return list.front().contains(key); });
}

bool NamesSpeakersByFrom(const json& list) { return IsMessageList(list) && list.front().contains("from"); }

}  // namespace ft::data

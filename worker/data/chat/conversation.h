// A conversation to learn from: what every shape of chat data becomes, and what templates render.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace ft::data {

// A call of a tool that an answer makes.
struct ToolCall {
  std::string id;  // Empty = the data gives none.
  std::string name;
  nlohmann::ordered_json arguments;  // An object, where the data's text is one.
  bool operator==(const ToolCall&) const = default;
};

// A question and its answer. The system text and the question never carry loss.
struct Turn {
  std::string system;  // Usually only in the first turn.
  std::string input;   // Empty = the answer stands alone.
  std::string output;
  bool loss = true;      // Whether the answer is learnt.
  bool answered = true;  // False: a message of the same side follows, and `output` is not there.

  // For a model's own template that has a place for them (ChatTemplate::Takes); otherwise these are empty, and what tools
  // say stands in the texts above.
  nlohmann::ordered_json tools;  // In the first turn: a list of {"type": "function", "function": {...}}.
  bool from_tool = false;        // `input` is what a tool gave, even where it is empty.
  std::string tool_name, tool_call_id;
  std::string reasoning;  // What the model thinks before the answer.
  std::vector<ToolCall> calls;
  bool null_output = false;  // The answer has no text of its own, only calls.
};

using Conversation = std::vector<Turn>;

// What a template has a place for beside texts.
struct TemplateTakes {
  bool tools = false;      // Tools, their calls, and what they gave.
  bool reasoning = false;  // Reasoning apart from the answer.
};

}  // namespace ft::data

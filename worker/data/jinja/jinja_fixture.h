// The variables of a chat template for tests: messages of three roles and what Hugging Face tokenizers add to them.
#pragma once

#include <string>
#include <utility>

#include "worker/data/jinja/jinja.h"

namespace ft::data {

inline jinja::Value MakeMessage(const std::string& role, const std::string& content) {
  jinja::Dict message;
  message.Set("role", jinja::Value::String(role));
  message.Set("content", jinja::Value::String(content));
  return *jinja::Value::FromDict(std::move(message));
}

// `question` is what the user says.
inline jinja::Dict ChatVariables(const std::string& question) {
  jinja::Dict variables;
  variables.Set("messages",
                *jinja::Value::FromList({MakeMessage("system", "Be brief."), MakeMessage("user", question),
                                         MakeMessage("assistant", " Hello! ")}));
  variables.Set("bos_token", jinja::Value::String("<s>"));
  variables.Set("eos_token", jinja::Value::String("</s>"));
  variables.Set("add_generation_prompt", jinja::Value::Bool(true));
  variables.Set("tools", jinja::Value::None());
  return variables;
}

}  // namespace ft::data

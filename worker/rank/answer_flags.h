// The options of `ft-rank chat` and of `ft-rank eval --prompts` that say how a question is put and answered.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "worker/rank/chat_responder.h"
#include "worker/rank/flags.h"
#include "worker/rank/load_model.h"

namespace ft::rank {

// Their names, for Flags::Parse.
std::set<std::string> AnswerFlagNames();

// What answers a model's questions, and the system text before the first of them.
struct Answering {
  std::unique_ptr<ChatResponder> responder;
  std::string system;
};

// What the flags leave open is as the model was trained; answers end at stop words of its template too, where no single token stands
// for them. INVALID_ARGUMENT and NOT_FOUND name the option.
StatusOr<Answering> AnsweringOf(const Flags& flags, const Trained& trained);

}  // namespace ft::rank

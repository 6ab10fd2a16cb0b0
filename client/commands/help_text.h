// The help of the whole command line in the user's language. Verbs and options declare it in English; the Chinese stands
// beside each text in client/render/templates_help.cc. Names of arguments (JOB, FILE) stay, since usage and refusals have them.
#pragma once

#include <functional>
#include <string>

#include "client/render/terminal.h"

namespace CLI {
class App;
}

namespace ft::client {

// Puts what `change` makes of it in the place of every text of help that `app` and its verbs declare, empty ones left out.
void ChangeHelp(CLI::App& app, const std::function<std::string(const std::string&)>& change);

// REQUIRES: every verb is declared.
void TranslateHelp(CLI::App& root, const Terminal& terminal);

}  // namespace ft::client

// The whole command line: options of every verb, the verbs, and their help, at most 80 columns wide.
#pragma once

#include <string>

#include "client/render/terminal.h"

namespace CLI {
class App;
}

namespace ft::client {

class Session;

// Declares everything on `root`. Parsing then fills `session` and sets session.action to what the verb does. `root` and
// `session` must outlive the action.
void DeclareVerbs(CLI::App& root, Session& session);

// One sentence for a command line that could not be parsed, with the verb or option that was perhaps meant; `what` is the
// parser's own message.
std::string UsageMessage(const CLI::App& root, const std::string& what, const Terminal& terminal = {});

}  // namespace ft::client

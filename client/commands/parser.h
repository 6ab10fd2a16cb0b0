// The whole command line: options of every verb, the verbs, and their help, at most 80 columns wide.
#pragma once

namespace CLI {
class App;
}

namespace ft::client {

class Session;

// Declares everything on `root`. Parsing then fills `session` and sets session.action to what the verb does. `root` and
// `session` must outlive the action.
void DeclareVerbs(CLI::App& root, Session& session);

}  // namespace ft::client

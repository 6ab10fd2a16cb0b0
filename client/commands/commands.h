// The verbs. Each Add function declares one verb with its options and help; parsing it sets session.action.
#pragma once

namespace CLI {
class App;
}

namespace ft::client {

class Session;

void AddRun(CLI::App& root, Session& session);
void AddSubmit(CLI::App& root, Session& session);
void AddPlan(CLI::App& root, Session& session);
void AddPreview(CLI::App& root, Session& session);
void AddValidate(CLI::App& root, Session& session);
void AddRecipe(CLI::App& root, Session& session);

void AddPreprocess(CLI::App& root, Session& session);
void AddList(CLI::App& root, Session& session);
void AddGet(CLI::App& root, Session& session);
void AddWatch(CLI::App& root, Session& session);
void AddLogs(CLI::App& root, Session& session);
void AddEvents(CLI::App& root, Session& session);
void AddMetrics(CLI::App& root, Session& session);
void AddExplain(CLI::App& root, Session& session);
void AddCheckpoints(CLI::App& root, Session& session);
void AddDiff(CLI::App& root, Session& session);

void AddCancel(CLI::App& root, Session& session);
void AddPause(CLI::App& root, Session& session);
void AddResume(CLI::App& root, Session& session);
void AddDelete(CLI::App& root, Session& session);

void AddChat(CLI::App& root, Session& session);
void AddEval(CLI::App& root, Session& session);
void AddMerge(CLI::App& root, Session& session);
void AddExport(CLI::App& root, Session& session);
void AddConvert(CLI::App& root, Session& session);

void AddNodes(CLI::App& root, Session& session);
void AddDrain(CLI::App& root, Session& session);  // cordon and uncordon too
void AddUp(CLI::App& root, Session& session);
void AddDown(CLI::App& root, Session& session);
void AddCache(CLI::App& root, Session& session);
void AddDoctor(CLI::App& root, Session& session);
void AddCapabilities(CLI::App& root, Session& session);
void AddVersion(CLI::App& root, Session& session);
void AddCompletion(CLI::App& root, Session& session);

}  // namespace ft::client

// ftctl capabilities: which combinations of method, ZeRO stage, offload and device this version runs. The answers are
// those that a job file gets, so the table cannot promise what a job is refused.
#include <algorithm>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/session/output.h"
#include "core/recipe/supported.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

constexpr const char* kMethods[] = {"qlora", "int8_lora", "lora", "full"};
constexpr const char* kOffloads[] = {"none", "cpu", "disk"};
constexpr const char* kDevices[] = {"cpu", "gpu"};
constexpr int kStages = 4;

struct CapabilitiesOptions {};

struct Combination {
  std::string method;
  std::string device;
  std::string offload;
  int zero = 0;
  Status verdict;
};

Status VerdictOn(const Combination& combination) {
  recipe::JobSpec spec;
  spec.model.source = "model";
  spec.data.push_back({.source = "data"});
  spec.method.kind = combination.method;
  spec.parallel.zero = combination.zero;
  // A stage above 0 divides something among ranks, so it needs more than one.
  spec.parallel.ranks = combination.zero > 0 ? 2 : 1;
  spec.parallel.offload.optimizer = combination.offload;
  spec.parallel.offload.parameters = combination.zero == 3 ? combination.offload : "none";
  spec.resources.device = combination.device;
  return recipe::CheckSupported(spec);
}

std::vector<Combination> AllCombinations() {
  std::vector<Combination> all;
  for (const char* method : kMethods) {
    for (const char* device : kDevices) {
      for (const char* offload : kOffloads) {
        for (int zero = 0; zero < kStages; ++zero) {
          Combination combination{.method = method, .device = device, .offload = offload, .zero = zero};
          combination.verdict = VerdictOn(combination);
          all.push_back(std::move(combination));
        }
      }
    }
  }
  return all;
}

void PrintJson(const std::vector<Combination>& all) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Combination& combination : all) {
    nlohmann::ordered_json item;
    item["method"] = combination.method;
    item["device"] = combination.device;
    item["offload"] = combination.offload;
    item["zero"] = combination.zero;
    item["supported"] = combination.verdict.ok();
    item["reason"] = std::string(Message(combination.verdict));
    list.push_back(std::move(item));
  }
  PrintLine(list.dump(2));
}

// Every line of every refusal, once, in the order met.
std::vector<std::string> Reasons(const std::vector<Combination>& all) {
  std::vector<std::string> reasons;
  for (const Combination& combination : all) {
    std::string_view text = Message(combination.verdict);
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const std::string line(text.substr(0, end));
      if (std::find(reasons.begin(), reasons.end(), line) == reasons.end()) reasons.push_back(line);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  return reasons;
}

StatusOr<int> Capabilities(const CapabilitiesOptions&, Session& session) {
  const std::vector<Combination> all = AllCombinations();
  if (session.json()) {
    PrintJson(all);
    return kExitOk;
  }
  Table table({{.title = "METHOD"},
               {.title = "DEVICE"},
               {.title = "OFFLOAD"},
               {.title = "ZERO 0"},
               {.title = "ZERO 1"},
               {.title = "ZERO 2"},
               {.title = "ZERO 3"}});
  for (size_t i = 0; i + kStages <= all.size(); i += kStages) {
    std::vector<std::string> cells = {all[i].method, all[i].device, all[i].offload};
    for (size_t stage = 0; stage < kStages; ++stage)
      cells.push_back(all[i + stage].verdict.ok() ? "yes" : "no");
    table.AddRow(std::move(cells));
  }
  Print(table.Render(session.terminal));
  const std::vector<std::string> reasons = Reasons(all);
  if (!reasons.empty()) PrintLine("");
  for (const std::string& reason : reasons) PrintLine(Wrap(reason, session.terminal.columns, 2));
  return kExitOk;
}

}  // namespace

void AddCapabilities(CLI::App& root, Session& session) {
  auto options = std::make_shared<CapabilitiesOptions>();
  CLI::App* verb = root.add_subcommand("capabilities", "What this version runs, and what it refuses")
                       ->group(kGroupMachine);
  SetAction(verb, options, session, Capabilities);
}

}  // namespace ft::client

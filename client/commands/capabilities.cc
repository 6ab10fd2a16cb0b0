// ftctl capabilities: which combinations of method, ZeRO stage, offload and device this version runs, and which methods each family of
// models. The answers are those that a job file gets, so the tables cannot promise what a job is refused.
#include <algorithm>
#include <iterator>
#include <vector>

#include "client/commands/commands.h"
#include "client/commands/verb.h"
#include "client/render/table.h"
#include "client/session/output.h"
#include "core/recipe/supported.h"
#include "nlohmann/json.hpp"

namespace ft::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kMethods[] = {"qlora", "int8_lora", "lora", "full"};
constexpr const char* kOffloads[] = {"none", "cpu", "disk"};
constexpr const char* kDevices[] = {"cpu", "gpu"};
constexpr int kStages = 4;

struct CapabilitiesOptions {
  bool json = false;
  bool families = false;
};

struct Combination {
  std::string method;
  std::string device;
  std::string offload;
  int zero = 0;
  Status verdict;
};

// A family's models trained by a method.
struct FamilyMethod {
  std::string family;
  std::string method;
  Status verdict;
};

recipe::JobSpec JobOf(const std::string& method) {
  recipe::JobSpec spec;
  spec.model.source = "model";
  spec.data.push_back({.source = "data"});
  spec.method.kind = method;
  return spec;
}

Status VerdictOn(const Combination& combination) {
  recipe::JobSpec spec = JobOf(combination.method);
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

std::vector<FamilyMethod> AllFamilyMethods() {
  std::vector<FamilyMethod> all;
  for (const std::string_view family : recipe::Families()) {
    for (const char* method : kMethods) {
      Status verdict = recipe::CheckFamily(family);
      verdict.Update(recipe::CheckSupported(JobOf(method)));
      all.push_back({.family = std::string(family), .method = method, .verdict = std::move(verdict)});
    }
  }
  return all;
}

Json ToTree(const std::vector<Combination>& all) {
  Json list = Json::array();
  for (const Combination& combination : all) {
    Json item;
    item["method"] = combination.method;
    item["device"] = combination.device;
    item["offload"] = combination.offload;
    item["zero"] = combination.zero;
    item["supported"] = combination.verdict.ok();
    item["reason"] = std::string(Message(combination.verdict));
    list.push_back(std::move(item));
  }
  return list;
}

Json ToTree(const std::vector<FamilyMethod>& all) {
  Json list = Json::array();
  for (const FamilyMethod& one : all) {
    list.push_back({{"family", one.family},
                    {"method", one.method},
                    {"supported", one.verdict.ok()},
                    {"reason", std::string(Message(one.verdict))}});
  }
  return list;
}

// Every line of every refusal, once, in the order met.
template <typename Cell>
void PrintReasons(const std::vector<Cell>& all, const Session& session) {
  std::vector<std::string> reasons;
  for (const Cell& cell : all) {
    std::string_view text = Message(cell.verdict);
    while (!text.empty()) {
      const size_t end = std::min(text.find('\n'), text.size());
      const std::string line(text.substr(0, end));
      if (std::find(reasons.begin(), reasons.end(), line) == reasons.end()) reasons.push_back(line);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  if (!reasons.empty()) PrintLine("");
  for (const std::string& reason : reasons)
    PrintLine(Wrap(session.InLanguage(reason), session.terminal.columns, 2));
}

std::string YesOrNo(const Status& verdict, const Session& session) {
  return session.Localized(verdict.ok() ? Text::kYes : Text::kNo);
}

void ShowCombinations(const std::vector<Combination>& all, const Session& session) {
  Table table({{.title = Text::kColumnMethod},
               {.title = Text::kColumnDevice},
               {.title = Text::kColumnOffload},
               {.title = Text::kColumnZero0},
               {.title = Text::kColumnZero1},
               {.title = Text::kColumnZero2},
               {.title = Text::kColumnZero3}});
  for (size_t i = 0; i + kStages <= all.size(); i += kStages) {
    std::vector<std::string> cells = {all[i].method, all[i].device, all[i].offload};
    for (size_t stage = 0; stage < kStages; ++stage)
      cells.push_back(YesOrNo(all[i + stage].verdict, session));
    table.AddRow(std::move(cells));
  }
  Print(table.Render(session.terminal));
  PrintReasons(all, session);
}

// A line for each family with the methods that run.
void ShowFamilies(const std::vector<FamilyMethod>& all, const Session& session) {
  Table table({{.title = Text::kColumnFamily}, {.title = Text::kColumnMethod}});
  for (size_t i = 0; i + std::size(kMethods) <= all.size(); i += std::size(kMethods)) {
    std::string methods;
    for (size_t method = 0; method < std::size(kMethods); ++method) {
      const FamilyMethod& one = all[i + method];
      if (one.verdict.ok()) StrAppend(&methods, methods.empty() ? "" : ", ", one.method);
    }
    table.AddRow({all[i].family, methods});
  }
  Print(table.Render(session.terminal));
  PrintReasons(all, session);
}

StatusOr<int> Capabilities(const CapabilitiesOptions& options, Session& session) {
  const bool json = options.json || session.json();
  if (options.families) {
    const std::vector<FamilyMethod> all = AllFamilyMethods();
    json ? PrintLine(ToTree(all).dump(2)) : ShowFamilies(all, session);
  } else {
    const std::vector<Combination> all = AllCombinations();
    json ? PrintLine(ToTree(all).dump(2)) : ShowCombinations(all, session);
  }
  return kExitOk;
}

}  // namespace

void AddCapabilities(CLI::App& root, Session& session) {
  auto options = std::make_shared<CapabilitiesOptions>();
  CLI::App* verb = root.add_subcommand("capabilities", "What this version runs, and what it refuses")
                       ->group(kGroupMachine);
  verb->add_flag("--families", options->families, "Methods by family of models");
  verb->add_flag("--json", options->json, "As -o json");
  SetAction(verb, options, session, Capabilities);
}

}  // namespace ft::client

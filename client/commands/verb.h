// How a verb is declared: options in a struct that lives as long as the parser, and a function that runs them.
#pragma once

#include <CLI/CLI.hpp>

#include <memory>
#include <string>
#include <vector>

#include "client/session/session.h"

namespace ft::client {

// Groups of `ftctl --help`, in its order.
inline constexpr const char* kGroupTrain = "Train a model";
inline constexpr const char* kGroupLook = "Look at jobs";
inline constexpr const char* kGroupJobAction = "Steer jobs";
inline constexpr const char* kGroupUse = "Use the result (a job's name or a folder; needs no daemon)";
inline constexpr const char* kGroupMachine = "Machines and this program";

template <typename Options>
void SetAction(CLI::App* verb, std::shared_ptr<Options> options, Session& session,
               StatusOr<int> (*run)(const Options&, Session&)) {
  verb->callback([options, run, &session] {
    session.action = [options, run, &session] { return run(*options, session); };
  });
}

// --set, --map and --deepspeed of the verbs that take a job file or what stands for one; the latter two become some of `sets`.
void AddChanges(CLI::App* verb, std::vector<std::string>& sets);

// The one positional argument that most verbs have.
inline CLI::Option* AddJobArgument(CLI::App* verb, std::string& name) {
  return verb->add_option("JOB", name, "Name or id of the job")->required()->type_name("");
}

}  // namespace ft::client

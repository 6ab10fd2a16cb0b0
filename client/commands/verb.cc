#include "client/commands/verb.h"

#include "client/job/deepspeed_file.h"
#include "client/job/job_file.h"

namespace ft::client {

void AddChanges(CLI::App* verb, std::vector<std::string>& sets) {
  verb->add_option("--set", sets, "Change one setting; may be repeated")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  verb->add_option_function<std::string>(
          "--map",
          [&sets](const std::string& map) {
            const StatusOr<std::string> assignment = MapAssignment(map);
            if (!assignment.ok()) throw CLI::ValidationError(std::string(Message(assignment.status())));
            sets.push_back(*assignment);
          },
          "Columns: input=QUESTION,output=ANSWER")
      ->type_name("COLUMNS")
      ->allow_extra_args(false);
  verb->add_option_function<std::string>(
          "--deepspeed",
          [&sets](const std::string& name) {
            const StatusOr<std::vector<std::string>> assignments = DeepspeedAssignments(name);
            if (!assignments.ok()) throw CLI::ValidationError(std::string(Message(assignments.status())));
            sets.insert(sets.end(), assignments->begin(), assignments->end());
          },
          "A ZeRO setting, or DeepSpeed's JSON file")
      ->type_name("NAME|FILE")
      ->allow_extra_args(false);
}

}  // namespace ft::client

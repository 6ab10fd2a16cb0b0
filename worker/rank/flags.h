// The arguments of ft-rank's verbs: --name VALUE pairs and switches.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/base/status.h"

namespace ft::rank {

class Flags {
 public:
  // INVALID_ARGUMENT for a name that is in neither list, or a value that is missing. Names may repeat.
  static StatusOr<Flags> Parse(const std::vector<std::string>& arguments,
                               const std::set<std::string>& with_value,
                               const std::set<std::string>& switches);

  bool Has(const std::string& name) const { return values_.contains(name); }
  std::string Get(const std::string& name, std::string otherwise = "") const;
  std::vector<std::string> All(const std::string& name) const;
  StatusOr<int64_t> Int(const std::string& name, int64_t otherwise) const;
  StatusOr<double> Number(const std::string& name, double otherwise) const;
  const std::vector<std::string>& positional() const { return positional_; }

 private:
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> positional_;
};

// Prints "ft-rank VERB: message" and gives the exit status: 2 for wrong arguments, 1 otherwise.
int Complain(const char* verb, const Status& status);

// Prints each as "ft-rank VERB: note: remark" on standard error.
void TellRemarks(const char* verb, const std::vector<std::string>& remarks);

}  // namespace ft::rank

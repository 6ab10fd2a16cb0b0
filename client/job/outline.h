// What a job will be, from its settings and its model's config.json alone: neither the model nor data have to be at hand.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/base/status.h"
#include "core/plan/card_report.h"
#include "core/plan/config_shape.h"
#include "core/plan/estimate.h"
#include "core/recipe/job_spec.h"
#include "nlohmann/json.hpp"

namespace ft::client {

struct OutlineSetting {
  std::string key;
  std::string value;
  std::string reason;
};

struct Outline {
  std::vector<OutlineSetting> settings;
  plan::ConfigShape model;
  int64_t parameters = 0;
  int64_t steps = 0;                     // 0 = unknown.
  std::vector<plan::MemoryPart> memory;  // A rank's.
  std::optional<plan::CardReport> card;  // Of a job for a GPU; `memory` is the card's then.
  std::vector<std::string> refused;      // What `submit` would refuse, a sentence each.
  std::vector<std::string> remarks;
};

// `records` of the data; 0 = unknown. What the data would choose (docs/job-file.md, "chosen") is taken as for a long run.
// `card`: what a job with resources.device: gpu is planned for.
// REQUIRES: `config` is JSON text of a config.json; `file` names it in messages.
StatusOr<Outline> OutlineOf(const recipe::JobSpec& spec, std::string_view config, std::string_view file,
                            int64_t records, const plan::Card& card = plan::UnknownCard());

// As lines for people, in the columns of ft-rank's plan.
std::string ToText(const Outline& outline);

// Of these the memory by part; of a card's also whether it fits, where the card is known.
std::string MemoryText(const Outline& outline);

nlohmann::ordered_json ToTree(const Outline& outline);

}  // namespace ft::client

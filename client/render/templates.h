// The sentences that are known in Chinese, by what they are about. A change of an English sentence at its source is followed
// here: `tidy.translations` finds templates that nobody says any more.
#pragma once

#include <span>

#include "client/render/sentences.h"

namespace ft::client {

std::span<const Template> PlanTemplates();   // Plans, data reports, learning.
std::span<const Template> DataTemplates();   // Refusals of data.
std::span<const Template> ModelTemplates();  // Refusals of models, tokenizers, adapters, checkpoints.
std::span<const Template> JobTemplates();    // Job files, states of jobs, paths.

}  // namespace ft::client

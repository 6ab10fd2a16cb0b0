// The sentences that are known in Chinese, by what they are about. A change of an English sentence at its source is followed
// here: `tidy.translations` finds templates that nobody says any more, and sentences of ftctl, of job files and of the
// coordinator that have no template.
#pragma once

#include <span>

#include "client/render/sentences.h"

namespace ft::client {

// Looked for in whatever another program said (AllTemplates).
std::span<const Template> PlanTemplates();         // Plans, data reports, learning.
std::span<const Template> DataTemplates();         // Refusals of data.
std::span<const Template> ModelTemplates();        // Refusals of models, tokenizers, adapters, checkpoints.
std::span<const Template> HubTemplates();          // Model hubs: addresses, refusals, downloads.
std::span<const Template> JobTemplates();          // Job files, states of jobs, paths.
std::span<const Template> DeepspeedTemplates();    // DeepSpeed's files.
std::span<const Template> ClientTemplates();       // Refusals of ftctl itself.
std::span<const Template> CoordinatorTemplates();  // Why jobs wait or ended, and refusals of the coordinator.
std::span<const Template> LibraryTemplates();      // The system's words, and those of readers of YAML.

// Looked for only where such a text is expected: elsewhere the words would be somebody's own.
std::span<const Template> HelpTexts();             // The whole texts of `ftctl --help`.
std::span<const Template> DoctorTemplates();       // What `ftctl doctor` looks at, finds and advises.
std::span<const Template> CommandLineTemplates();  // What the parser of command lines says itself.
std::span<const Template> StateWords();            // States of jobs and nodes.
std::span<const Template> PhaseWords();            // What a rank does.

}  // namespace ft::client

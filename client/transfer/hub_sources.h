// Models and data on hubs as files of this machine, in this user's cache, for what ftctl does itself: plans, previews, chats, merges.
// What a job needs, its node downloads.
#pragma once

#include <string>

#include "client/session/session.h"
#include "core/hub/fetch.h"
#include "core/recipe/job_spec.h"

namespace ft::client {

// hub::Fetch in this user's name, its progress shown on standard error. Ctrl-C ends it; what came stays: CANCELLED.
StatusOr<hub::Fetched> FetchShown(Session& session, hub::FetchRequest request);

// The folder of a model that is named by an address of a hub; any other source as it is. `kept_in`: a run folder whose sources.json
// may name a version and a folder; may be empty.
StatusOr<std::string> LocalModel(Session& session, const std::string& source,
                                 const std::filesystem::path& kept_in = {});

// The settings with files in place of addresses of hubs: a model without its weights, which no plan reads, and all data. Says
// what of the model is left to be downloaded.
StatusOr<recipe::JobSpec> WithLocalSources(Session& session, recipe::JobSpec spec);

}  // namespace ft::client

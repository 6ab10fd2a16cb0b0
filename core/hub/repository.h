// What a repository of either hub holds at a revision, asked of the hub.
#pragma once

#include <string>
#include <vector>

#include "core/hub/client.h"
#include "core/hub/listing.h"

namespace ft::hub {

// The default branch where the source names none.
std::string RevisionOf(const recipe::HubSource& source);

// What a revision stands for now: its commit on Hugging Face, itself on ModelScope, where commits are not told.
StatusOr<std::string> ResolveRevision(Client& client);

// All files. On ModelScope, folder by folder where one listing is cut at 3,000 entries.
StatusOr<std::vector<HubFile>> ListFiles(Client& client, const std::string& version);

// Path and query of a file's content.
std::string FileAddress(const recipe::HubSource& source, const HubFile& file, const std::string& version);

}  // namespace ft::hub

// Every sentence that ftctl says to people, in English and Chinese. Reasons of errors stay English enums.
//   Localized(terminal, Text::kSubmitted, name, id)
// A sentence names its arguments {0}, {1}, ...; a test checks that both languages use the same ones.
#pragma once

#include <fmt/format.h>

#include <span>
#include <string>
#include <string_view>

#include "client/render/terminal.h"

namespace ft::client {

enum class Text {
  kUnreachable,
  kNotStarted,
  kContactLost,
  kContactBack,
  kSubmitted,
  kWatchHint,
  kAmbiguous,
  kWatchLeft,
  kStillRunning,
  kState,
  kSucceeded,
  kFailed,
  kCancelled,
  kPaused,
  kPausing,
  kResuming,
  kPausedElsewise,
  kRunInterrupted,
  kRunAgain,
  kDaemonsGone,
  kLeftRunning,
  kAnotherRun,
  kDiskFullLeave,
  kDataChanged,
  kNext,
  kStarting,
  kStarted,
  kAlreadyUp,
  kStopped,
  kNothingRuns,
  kNoJobs,
  kNoNodes,
  kOtherVersion,
  kFtctlOlder,
  kCoordinatorOlder,
  kNodeRemoved,
  kStillDraining,
  kNoCheckpoints,
  kNoEvents,
  kNoMetrics,
  kDeleted,
  kCancelAsked,
  kLedgersEqual,
  kLedgersDiffer,
  kDifferSamples,
  kDifferGradient,
  kDifferWeights,
  kDifferMissing,
  kUploading,
  kQueuePosition,
  kToUnblock,
  kAllWell,
  kProblems,
  kLoss,
  kEta,
  kTokensPerSecond,
  kPhase,
  kDataReport,
  kOneSample,
  kSamples,
  kOneToken,
  kTokens,
  kEarlierResult,
  kFromFiles,
  kNothingToFollow,
  kRecipesEqual,
  kCount,  // Not a sentence.
};

struct Sentence {
  Text key;
  std::string_view english;
  std::string_view chinese;
};

// All of them, in the order of the keys.
std::span<const Sentence> Catalogue();

std::string_view Lookup(Language language, Text text);

template <typename... Args>
std::string Localized(const Terminal& terminal, Text text, const Args&... args) {
  const std::string_view pattern = Lookup(terminal.language, text);
  return fmt::vformat(fmt::string_view(pattern.data(), pattern.size()), fmt::make_format_args(args...));
}

}  // namespace ft::client

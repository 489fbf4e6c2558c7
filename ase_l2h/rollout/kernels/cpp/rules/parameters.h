// Rules that are told by a few numbers, whose names the macro RULE_PARAMETERS lists.

#pragma once

#include "observation.h"

#define THETA_COUNT (sizeof(RuleParameters) / sizeof(number))
struct RuleParameters {
  number RULE_PARAMETERS;
};
FUNCTION const RuleParameters& parameters(const Observation& s) {
  return *reinterpret_cast<const RuleParameters*>(s.theta);
}

/* What LiteRT tells only of a profiled model: which operators the delegate took, and their times. */
#ifndef LITERT_SURVEY_H
#define LITERT_SURVEY_H

#include "engine.h"
#include "litert_model.h"

bool litert_survey(const LiteRtFile *file, const Arguments *arguments, Model *model, const unsigned char *item);

#endif

// The dedicated worker: holds the GPU device and at most one generation's stage, and takes the coordinator's
// orders one after the other. Peer connections and the control socket stay on the page (session.ts), because a
// data channel made by a library cannot be moved here.
import { borrowsEmbedding, stageRange } from "../../core/model/parameters.ts";
import { positionOf } from "../../core/plan/plan.ts";
import { inFlight } from "../../core/plan/schedule.ts";
import type { Tokens } from "../../core/data/batch.ts";
import type { TokenSource } from "../../core/protocol/control.ts";
import { DoesNotFit, openGpu, type Gpu } from "../engine/device.ts";
import { Stage, type StageSpec } from "../engine/stage.ts";
import { BlobClient } from "./blobs.ts";
import { Channel } from "./channel.ts";
import { GenerationEnded } from "./mailbox.ts";
import { loadState, saveState } from "./stage-state.ts";
import { Trainer, type Assignment, type Order } from "./trainer.ts";
import type { FromTrainer, ToTrainer } from "./worker-messages.ts";

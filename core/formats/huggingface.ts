// A model as a Hugging Face Llama directory: config.json and model.safetensors, both ways. The tensors' names
// and shapes are those of core/model/parameters.ts already.
// Source: transformers' LlamaConfig and LlamaForCausalLM.
import { z } from "zod";
import { describeIssues, ModelConfig } from "../model/config.ts";
import { headWidth, parameterSpace } from "../model/parameters.ts";
import type { NamedTensor } from "./safetensors.ts";

/** A directory that is not a Llama model this project can hold; the message says which file and key. */
export class ModelFormatError extends Error {
  override name = "ModelFormatError";
}

const LlamaConfig = z.looseObject({
  model_type: z.literal("llama"),
  hidden_size: z.number(),
  intermediate_size: z.number(),
  num_hidden_layers: z.number(),
  num_attention_heads: z.number(),
  num_key_value_heads: z.number().optional(),
  head_dim: z.number().nullish(),
  max_position_embeddings: z.number(),
  vocab_size: z.number(),
  rms_norm_eps: z.number(),
  rope_theta: z.number().optional(),
  rope_scaling: z.null().optional(),
  tie_word_embeddings: z.boolean().default(false),
  hidden_act: z.literal("silu").default("silu"),
  attention_bias: z.literal(false).default(false),
  mlp_bias: z.literal(false).default(false),
});

/** Contents of `config.json`. Token ids that mean nothing to a byte model are null. */
export function toLlamaConfig(model: ModelConfig): Record<string, unknown> {
  return {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_size: model.width,
    intermediate_size: model.hidden,
    num_hidden_layers: model.layers,
    num_attention_heads: model.heads,
    num_key_value_heads: model.kvHeads,
    head_dim: headWidth(model),
    max_position_embeddings: model.context,
    vocab_size: model.vocab,
    rms_norm_eps: model.normEps,
    rope_theta: model.ropeTheta,
    rope_scaling: null,
    tie_word_embeddings: model.tied,
    hidden_act: "silu",
    attention_bias: false,
    attention_dropout: 0,
    mlp_bias: false,
    initializer_range: 0.02,
    use_cache: true,
    bos_token_id: null,
    eos_token_id: null,
    pad_token_id: null,
    torch_dtype: "float32",
  };
}

/** Reads `config.json`. @throws ModelFormatError */
export function fromLlamaConfig(json: unknown): ModelConfig {
  const llama = LlamaConfig.safeParse(json);
  if (!llama.success) {
    throw new ModelFormatError(
      `config.json is not a Llama model that can be read: ${describeIssues(llama.error)[0]}`,
    );
  }
  const config = llama.data;
  const model = ModelConfig.safeParse({
    layers: config.num_hidden_layers,
    width: config.hidden_size,
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads ?? config.num_attention_heads,
    hidden: config.intermediate_size,
    context: config.max_position_embeddings,
    vocab: config.vocab_size,
    tied: config.tie_word_embeddings,
    ropeTheta: config.rope_theta ?? 10000,
    normEps: config.rms_norm_eps,
  });
  if (!model.success) throw new ModelFormatError(`config.json: ${describeIssues(model.error)[0]}`);
  if (config.head_dim && config.head_dim !== headWidth(model.data)) {
    throw new ModelFormatError(
      `config.json: head_dim ${config.head_dim} is not hidden_size / num_attention_heads`,
    );
  }
  return model.data;
}

/** Checks that `tensors` are all of the model's, each of its shape. @throws ModelFormatError naming the first that isn't */
export function checkTensors(model: ModelConfig, tensors: ReadonlyMap<string, NamedTensor>): void {
  for (const { name, shape } of parameterSpace(model).tensors) {
    const tensor = tensors.get(name);
    if (!tensor) throw new ModelFormatError(`model.safetensors has no tensor '${name}'`);
    if (tensor.shape.join() !== shape.join()) {
      throw new ModelFormatError(
        `tensor '${name}' has shape [${tensor.shape.join(", ")}], config.json wants [${shape.join(", ")}]`,
      );
    }
  }
}

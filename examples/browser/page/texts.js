// What the page says.

export const TEXTS = {
  en: {
    title: "ALBERT in the browser", language: "Language", choose: "Which sentence comes next?", prompt: "Prompt",
    choice: "Choice", add: "Add a choice", remove: "Remove choice", fill: "Fill in the mask",
    masked: "A sentence with [MASK]", attention: "Attention", sentence: "Sentence", layer: "Layer", head: "Head",
    own: "A checkpoint of your own", ownHelp: "Choose its files together: config.json, the weights, the vocabulary. They stay on this device.",
    task: "For", files: "Files", loading: "Loading", ready: "Ready", took: "ms for the answer", loaded: "Loaded",
    asks: "from", attends: "to",
  },
  zh: {
    title: "浏览器里的 ALBERT", language: "语言", choose: "下一句是哪一句？", prompt: "上文",
    choice: "选项", add: "添加选项", remove: "删除选项", fill: "填空",
    masked: "带有 [MASK] 的句子", attention: "注意力", sentence: "句子", layer: "层", head: "头",
    own: "自己的模型", ownHelp: "请一并选择 config.json、权重和词表文件。文件不会离开本机。",
    task: "用于", files: "文件", loading: "正在加载", ready: "就绪", took: "毫秒/次", loaded: "已加载",
    asks: "自", attends: "至",
  },
};

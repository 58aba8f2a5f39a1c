//! What a model in training computes of a batch: states, losses and gradients.

use super::backbone::{BackbonePass, BackboneStates, Memory, TrainingBackbone};
use super::model::{BackboneParameters, TrainingModel, is_standard};
use super::wanted::Wanted;
use super::{ActivationPolicy, HeadGradients, HeadPass, HeadTask, LossOutput, TrainableModel};
use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::kernels::parallel;
use crate::model::{Model, ModelParameters, check_shapes};

impl<M: Model<Parameters: BackboneParameters>> TrainingModel<M> {
    /// What heads read of a batch, without dropout.
    ///
    /// # Errors
    /// [`Error::Input`] if the batch does not fit the model.
    pub fn states(&self, batch: &Batch) -> Result<BackboneStates> {
        batch.check(&self.config)?;
        let all = Wanted::all(&batch.layout);
        let exits = self.early_exits();
        Ok(parallel::in_pool(|| self.forward(self.backbone_pass(batch, (&all, exits), None))))
    }

    /// Adds the gradient of a loss of one's own to `gradients`.
    ///
    /// `loss` gets the batch's states (with dropout, if there is a seed) and `gradients`, to which
    /// it may add those of a head's parameters; it returns the gradient of each state, and whatever
    /// else is wanted of it.
    ///
    /// ```
    /// use ndalbert::train::{BackboneStates, TrainingModel, TrainingOptions};
    /// use ndalbert::{Albert, AlbertConfig, Batch, ConfigFields, Model};
    ///
    /// # let config = AlbertConfig::new(ConfigFields {
    /// #     vocab_size: 100,
    /// #     embedding_size: 16,
    /// #     hidden_size: 32,
    /// #     num_attention_heads: 4,
    /// #     num_hidden_layers: 2,
    /// #     intermediate_size: 64,
    /// #     ..ConfigFields::default()
    /// # })?;
    /// let parameters = Albert::random_parameters(&config, 1)?;
    /// let mut albert = TrainingModel::<Albert>::new(config, parameters, TrainingOptions::default())?;
    /// let batch = Batch::from_sequences(&[vec![2, 4, 5, 3], vec![2, 8, 3]])?;
    ///
    /// // Draws the pooled outputs of two sequences nearer to each other: half the squared distance.
    /// let mut gradients = albert.zero_gradients();
    /// let distance = albert.backward_with(&batch, None, &mut gradients, |states, _| {
    ///     let mut d_states = states.zeros_like();
    ///     let (Some(pooled), Some(d_pooled)) = (&states.pooled, &mut d_states.pooled) else {
    ///         unreachable!("this model has a pooler");
    ///     };
    ///     let difference = &pooled.row(0) - &pooled.row(1);
    ///     d_pooled.row_mut(0).assign(&difference);
    ///     d_pooled.row_mut(1).assign(&-&difference);
    ///     Ok((difference.dot(&difference) / 2.0, d_states))
    /// })?;
    /// assert!(distance > 0.0);
    /// # Ok::<(), ndalbert::Error>(())
    /// ```
    ///
    /// With a configuration that has [`exit_layers`](crate::ConfigFields::exit_layers), the pooled
    /// outputs of earlier exits are in [`BackboneStates::exits`], and their gradients go back
    /// through the layers before that exit alone. So a loss of exits of one's own, such as
    /// distillation from another model, takes no second pass.
    ///
    /// # Errors
    /// That of `loss`; [`Error::Input`] if the batch does not fit the model, if the gradients are
    /// not of the parameters' shapes, as [`zero_gradients`](Self::zero_gradients) makes them, or
    /// those of the states not of the states'. The backbone's gradients are then as they were.
    pub fn backward_with<R>(
        &mut self,
        batch: &Batch,
        dropout_seed: Option<u64>,
        gradients: &mut M::Parameters,
        loss: impl FnOnce(&BackboneStates, &mut M::Parameters) -> Result<(R, BackboneStates)> + Send,
    ) -> Result<R>
    where
        R: Send,
    {
        let all = Wanted::all(&batch.layout);
        let exits = self.early_exits().to_vec();
        let read = (&all, &exits[..]);
        self.backward_pass(batch, read, dropout_seed, gradients, |_, _, states, gradients| {
            let (result, d_states) = loss(states, gradients)?;
            Ok((result, d_states.like(states)?))
        })
    }

    /// The layers of the configuration's exits but the last.
    fn early_exits(&self) -> &[usize] {
        self.config.exit_layers.split_last().map_or(&[], |(_, early)| early)
    }

    /// Forward, what `loss` makes of the states, and backward. What is read of the states: of the
    /// last layer, and which exits.
    fn backward_pass<R: Send>(
        &mut self,
        batch: &Batch,
        read: (&Wanted, &[usize]),
        dropout_seed: Option<u64>,
        gradients: &mut M::Parameters,
        loss: impl FnOnce(
            &Self,
            BackbonePass<'_>,
            &BackboneStates,
            &mut M::Parameters,
        ) -> Result<(R, BackboneStates)>
        + Send,
    ) -> Result<R> {
        batch.check(&self.config)?;
        check_shapes(gradients, &self.parameters)?;
        if !is_standard(gradients) {
            return Err(Error::input("gradients", "arrays in standard layout", "another layout"));
        }
        let mut memory = std::mem::take(&mut self.memory);
        let output = parallel::in_pool(|| {
            let pass = self.backbone_pass(batch, read, dropout_seed);
            let backbone = self.backbone();
            let states = backbone.forward(pass, self.options.activations, &mut memory);
            let (output, d_states) = loss(self, pass, &states, gradients)?;
            let gradients = gradients.backbone_mut();
            backbone.backward(pass, &mut memory, &states, d_states, gradients);
            Ok(output)
        });
        self.memory = memory;
        output
    }

    fn forward(&self, pass: BackbonePass<'_>) -> BackboneStates {
        self.backbone().forward(pass, ActivationPolicy::Recompute, &mut Memory::default())
    }

    fn backbone(&self) -> &TrainingBackbone {
        self.backbone.as_ref().expect("there but while it is made anew, which cannot fail")
    }

    fn backbone_pass<'a>(
        &'a self,
        batch: &'a Batch,
        (wanted, exits): (&'a Wanted, &'a [usize]),
        seed: Option<u64>,
    ) -> BackbonePass<'a> {
        let parameters = self.parameters.backbone();
        BackbonePass { config: &self.config, parameters, batch, wanted, exits, seed }
    }
}

impl<M: TrainableModel> TrainingModel<M> {
    /// The loss of a batch, without dropout.
    ///
    /// # Errors
    /// [`Error::Input`] if batch or labels do not fit the model, or each other.
    pub fn loss(&self, batch: &Batch, labels: &M::Labels) -> Result<LossOutput> {
        batch.check(&self.config)?;
        let wanted = self.wanted(batch, labels)?;
        parallel::in_pool(|| {
            let pass = self.backbone_pass(batch, (&wanted, self.exits_read()), None);
            let states = self.forward(pass);
            let (pass, head) = (&self.head_pass(pass, &states, 1.0), &self.parameters.head);
            M::head_pass(HeadTask { pass, head, labels, gradients: None })
        })
    }

    /// The loss of a batch, with dropout of the configuration's rates drawn from `dropout_seed`
    /// (without one, there is none), and **adds** `scale` times its gradient to `gradients`.
    ///
    /// # Errors
    /// As [`loss`](Self::loss), and [`Error::Input`] if the gradients are not of the parameters'
    /// shapes, as [`zero_gradients`](Self::zero_gradients) makes them. Gradients are then as they
    /// were.
    pub fn backward(
        &mut self,
        batch: &Batch,
        labels: &M::Labels,
        dropout_seed: Option<u64>,
        scale: f32,
        gradients: &mut M::Parameters,
    ) -> Result<LossOutput> {
        let (wanted, exits) = (self.wanted(batch, labels)?, self.exits_read().to_vec());
        self.backward_pass(
            batch,
            (&wanted, &exits),
            dropout_seed,
            gradients,
            |model, pass, states, gradients| {
                let mut d_states = states.zeros_like();
                let ModelParameters { albert, head } = gradients;
                let words = &mut albert.embeddings.word_embeddings;
                let gradients = Some(HeadGradients { head, words, states: &mut d_states });
                let (pass, head) = (&model.head_pass(pass, states, scale), &model.parameters.head);
                let output = M::head_pass(HeadTask { pass, head, labels, gradients })?;
                Ok((output, d_states))
            },
        )
    }

    /// The tokens whose last states head and pooler read.
    fn wanted(&self, batch: &Batch, labels: &M::Labels) -> Result<Wanted> {
        let mut rows = M::rows_read(batch, labels)?;
        if !rows.is_empty() && self.parameters.albert.pooler.is_some() {
            rows.extend(batch.layout.first_rows());
        }
        Ok(Wanted::new(&batch.layout, rows))
    }

    /// The layers before the last whose pooled output the head reads.
    fn exits_read(&self) -> &[usize] {
        let early = self.early_exits();
        &early[..M::num_exits(&self.parameters.head).min(early.len())]
    }

    fn head_pass<'a>(
        &'a self,
        pass: BackbonePass<'a>,
        states: &'a BackboneStates,
        scale: f32,
    ) -> HeadPass<'a> {
        let words = &self.parameters.albert.embeddings.word_embeddings;
        let BackbonePass { config, batch, wanted, seed, .. } = pass;
        let (isa, options) = (self.isa, self.options);
        HeadPass { isa, config, options, batch, wanted, words, states, seed, scale }
    }
}
